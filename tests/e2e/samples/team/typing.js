// When user starts typing
socket.emit('chat:typing', {
  roomId: 'room_id',
  isTyping: true
});

// When user stops typing
socket.emit('chat:typing', {
  roomId: 'room_id',
  isTyping: false
});

// Listen for typing updates
socket.on('chat:typing_status', ({ userId, roomId, isTyping }) => {
  // console.log(`User ${userId} is ${isTyping ? 'typing' : 'not typing'} in room ${roomId}`);
});
