// Join a session
socket.emit('join_session', { sessionId: 'session-id' });

// Send a message
socket.emit('send_message', {
  content: 'Hello, world!',
  metadata: { source: 'web' }
});

// Send typing indicator
socket.emit('typing', { isTyping: true });

// Leave session
socket.emit('leave_session');

// Get session info
socket.emit('get_session_info');
