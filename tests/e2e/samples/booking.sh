# Create a customer-hotel owner chat room
curl -X POST http://localhost:3000/chat/rooms \
  -H "Authorization: Bearer YOUR_JWT_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "type": "customer_hotel_owner",
    "participant1_id": "customer-user-id",
    "participant2_id": "hotel-owner-id",
    "hotel_id": "hotel-id"
  }'

# Get user's chat rooms
curl -X GET "http://localhost:3000/chat/rooms?page=1&limit=20" \
  -H "Authorization: Bearer YOUR_JWT_TOKEN"

# Send a text message
curl -X POST http://localhost:3000/chat/messages \
  -H "Authorization: Bearer YOUR_JWT_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "chat_room_id": "room-uuid",
    "content": "Hello, how can I help you?",
    "type": "text"
  }'

# Get messages in a room
curl -X GET "http://localhost:3000/chat/rooms/ROOM_ID/messages?page=1&limit=50" \
  -H "Authorization: Bearer YOUR_JWT_TOKEN"

# Mark messages as read
curl -X POST http://localhost:3000/chat/rooms/ROOM_ID/read \
  -H "Authorization: Bearer YOUR_JWT_TOKEN"

# Send message with file attachment
curl -X POST http://localhost:3000/chat/messages \
  -H "Authorization: Bearer YOUR_JWT_TOKEN" \
  -H "Content-Type: application/json" \
  -d '{
    "chat_room_id": "room-uuid",
    "content": "Check out this file",
    "type": "file",
    "file_url": "https://example.com/file.pdf",
    "file_name": "document.pdf",
    "file_size": 1024000
  }'

# Check chat service health
curl -X GET http://localhost:3000/chat/health
