{
  type: 'message' | 'typing' | 'error' | 'system';
  data: any;
  timestamp: Date;
}
