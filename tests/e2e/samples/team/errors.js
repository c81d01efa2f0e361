socket.on('chat:error', (error) => {
  console.error('Chat error:', error.message);
});
