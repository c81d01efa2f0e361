interface ServerToClientEvents {
  'chat:message': (message: ChatMessage) => void;
  'chat:typing_status': (data: { 
    userId: string; 
    roomId: string; 
    isTyping: boolean 
  }) => void;
  'chat:presence_update': (data: { 
    userId: string; 
    status: string 
  }) => void;
  'chat:error': (error: { message: string }) => void;
  'chat:message_update': (data: { 
    roomId: string; 
    message: ChatMessage 
  }) => void;
  'chat:message_delete': (data: { 
    roomId: string; 
    messageId: string 
  }) => void;
  'chat:init_data': (data: {
    rooms: Room[];
    people: Person[];
    favorites: Favorite[];
  }) => void;
  'chat:room_list_update': (rooms: Room[]) => void;
  'chat:people_list_update': (people: Person[]) => void;
  'chat:favorites_update': (favorites: Favorite[]) => void;
}
