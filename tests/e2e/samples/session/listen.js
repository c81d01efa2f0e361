// Connection confirmed
socket.on('connected', (data) => {
  console.log('Connected:', data.data.userId);
});

// Session joined successfully
socket.on('session_joined', (data) => {
  console.log('Joined session:', data.data.sessionId);
  console.log('Recent messages:', data.data.recentMessages);
});

// New message received
socket.on('message_received', (data) => {
  console.log('New message:', data.data);
});

// Typing indicator from other users
socket.on('typing_indicator', (data) => {
  console.log('User typing:', data.data.userId, data.data.isTyping);
});

// Session information
socket.on('session_info', (data) => {
  console.log('Session info:', data.data);
});

// Error handling
socket.on('error', (data) => {
  console.error('WebSocket error:', data.data.message);
});
