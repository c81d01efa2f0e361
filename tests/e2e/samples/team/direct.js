// Initiate a direct chat with another user
socket.emit('chat:start_direct', 'target_user_id');

// Listen for the room creation/join confirmation
socket.on('chat:message', (message) => {
  if (message.type === 'SYSTEM' && message.content === 'Direct chat started') {
    // console.log('Direct chat room created:', message.roomId);
    // Store this roomId for future direct messages with this user
  }
});

// Send a direct message (once you have the roomId)
socket.emit('chat:send_message', {
  roomId: 'direct_room_id', // The roomId received from the previous step
  content: 'Hey, how are you?',
  type: 'TEXT'
});

// Listen for direct messages
socket.on('chat:message', (message) => {
  if (message.roomType === 'DIRECT') {
    // console.log('New direct message:', message);
  }
});
