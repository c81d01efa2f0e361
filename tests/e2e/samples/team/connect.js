const socket = io('ws://localhost:3003/chat/', {
  auth: {
    token: 'Bearer YOUR_JWT_TOKEN', // JWT token with the same format as API requests
    userId: 'YOUR_USER_ID'         // Must match the user ID in the JWT token
  }
});
