// Or using cookies (automatic if JWT cookie is set)
const socket = io('http://localhost:3000/chat');
