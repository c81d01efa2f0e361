socket.emit('chat:presence', 'online');

socket.on('chat:presence_update', ({ userId, status }) => {
  // console.log(`User ${userId} is now ${status}`);
});
