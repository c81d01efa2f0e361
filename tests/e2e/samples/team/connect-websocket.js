const socket = io('ws://localhost:3003/chat/', {
  transports: ['websocket'],
  auth: {
    token: 'Bearer your_jwt_token',
    userId: 'user_id'
  }
});
