"""RabbitMQ: topology, group-commit publishing, batch consuming, request and reply. The only place that knows AMQP."""
