const io = require('socket.io-client');

const token = 'YOUR_JWT_TOKEN';
const socket = io('http://localhost:3000/chat', {
    auth: { token },
    extraHeaders: {
        Authorization: `Bearer ${token}`
    }
});

const roomId = 'YOUR_ROOM_ID';

socket.on('connect', () => {
    console.log('Connected to chat server');
    socket.emit('join_room', { roomId });
});

socket.on('connected', (data) => {
    console.log('Connection confirmed:', data);
});

socket.on('new_message', (message) => {
    console.log(`New message from ${message.sender.first_name}: ${message.content}`);
});

// Send a test message
setTimeout(() => {
    socket.emit('send_message', {
        chat_room_id: roomId,
        content: 'Hello from Node.js client!',
        type: 'text'
    });
}, 2000);
