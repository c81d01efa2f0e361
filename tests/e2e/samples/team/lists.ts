interface Room {
  id: string;
  name: string;
  type: 'GROUP' | 'DIRECT';
  lastMessage?: {
    content: string;
    timestamp: string;
    type: 'TEXT' | 'SYSTEM';
  };
  unreadCount: number;
  isEncrypted?: boolean;
  avatar?: string;
}

interface Person {
  id: string;
  name: string;
  status: 'online' | 'offline' | 'away';
  lastSeen?: string;
  avatar?: string;
}

interface Favorite {
  id: string;
  type: 'ROOM' | 'USER';
  name: string;
  avatar?: string;
  lastMessage?: string;
}
