socket.emit('chat:send_message', {
  roomId: 'room_id',
  content: 'Hello, world!',
  type: 'TEXT'
});
