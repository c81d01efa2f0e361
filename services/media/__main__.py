"""`python -m services.media`: starts, tests its links, reports ready. Owns nothing yet and takes no requests."""

from shared.bus.link import Link
from shared.bus.topology import durable_queues
from shared.mongo import Mongo
from shared.service import Service, run


async def main(service: Service) -> None:
    """Run until stopped."""
    settings = service.settings
    mongo = Mongo(settings.mongo_url, settings.name)
    link = Link(settings.amqp_url, settings.name, durable_queues(settings.shards))
    service.tasks.spawn(link.run(), "link", vital=True)
    service.checks |= {"rabbitmq": link.check, "mongodb": mongo.check}
    await service.serve_ops()
    await service.until_stopped()
    mongo.close()


if __name__ == "__main__":
    run("media", main)
