// Listen for initial lists when connecting
socket.on('chat:init_data', (data) => {
  const {
    rooms,         // List of all rooms the user is in
    people,        // List of all users the user has interacted with
    favorites      // List of favorited rooms/people
  } = data;
});

// Listen for updates to these lists
socket.on('chat:room_list_update', (rooms) => {
  // console.log('Updated room list:', rooms);
});

socket.on('chat:people_list_update', (people) => {
  // console.log('Updated people list:', people);
});

socket.on('chat:favorites_update', (favorites) => {
  // console.log('Updated favorites:', favorites);
});

// Add/Remove from favorites
socket.emit('chat:toggle_favorite', {
  id: 'room_or_user_id',
  type: 'ROOM' // or 'USER' for people
});
