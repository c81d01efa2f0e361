socket.on('chat:init_data', (data) => {
  const { rooms } = data;
  
  // Filter direct message rooms
  const directRooms = rooms.filter(room => room.type === 'DIRECT');
  // console.log('Direct message rooms:', directRooms);
});
