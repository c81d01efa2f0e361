socket.emit('chat:join', 'room_id');

socket.on('chat:message', (message) => {
  // console.log('New message:', message);
});
