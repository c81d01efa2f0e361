"""Embedded mode's pure parts: the port table, the environment, the restart back-off, the directory's files."""

import os
import socket
from pathlib import Path

import pytest

from deploy.embedded import home as homes
from deploy.embedded.config import Config
from deploy.embedded.errors import AlreadyRunning, EmbeddedError
from deploy.embedded.home import SUPERVISOR, Home
from deploy.embedded.ports import MAX_WORKERS, Ports, busy, find_free
from deploy.embedded.process import Backoff
from deploy.embedded.services import gateways, workers


def everything(ports: Ports) -> dict[int, str]:
    """The whole table of a stack."""
    return ports.broker() | ports.database() | ports.operations() | ports.files() | ports.listeners()


class TestPorts:
    def test_no_two_processes_share_a_port(self) -> None:
        """The table of the largest stack has an entry of its own for each process."""
        ports = Ports(3000, gateways=20, workers=MAX_WORKERS)
        assert len(everything(ports)) == 20 + MAX_WORKERS + 3 + 4

    def test_default_stack(self) -> None:
        assert everything(Ports(3000)) == {
            3000: "gateway-0",
            3010: "rooms-0",
            3011: "media-0",
            3012: "media-0 (files)",
            3020: "messages-0",
            3090: "RabbitMQ (AMQP)",
            3091: "RabbitMQ (Erlang distribution)",
            3092: "epmd, RabbitMQ's name server",
            3093: "mongod",
        }

    def test_gateways_lie_a_hundred_apart(self) -> None:
        assert list(Ports(4000, gateways=3).listeners()) == [4000, 4100, 4200]

    def test_ports_beside_the_gateway_stay_free_for_its_listeners(self) -> None:
        assert not {3000 + offset for offset in range(1, 10)} & set(everything(Ports(3000, 5, 70)))

    @pytest.mark.parametrize(
        ("base", "gateways", "workers", "named"),
        [
            (65500, 1, 1, "PORT=65500"),
            (65000, 7, 1, "GATEWAYS=7"),
            (0, 1, 1, "PORT=0"),
            (3000, 0, 1, "GATEWAYS=0"),
            (3000, 1, 0, "WORKERS=0"),
            (3000, 1, MAX_WORKERS + 1, f"WORKERS={MAX_WORKERS + 1}"),
        ],
    )
    def test_impossible_tables_are_refused_by_name(self, base: int, gateways: int, workers: int, named: str) -> None:
        with pytest.raises(EmbeddedError, match=named):
            Ports(base, gateways, workers)

    def test_busy_names_the_port_and_what_wanted_it(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as holder:
            port = holder.getsockname()[1]
            assert busy({port: "mongod"}) == [f"port {port} (mongod) on 127.0.0.1: Address already in use"]
        assert busy({port: "mongod"}) == []

    def test_a_free_block_is_free(self) -> None:
        assert busy(everything(Ports(find_free(gateways=2, workers=3), 2, 3))) == []


class TestConfig:
    def test_an_empty_environment_gives_the_documented_defaults(self) -> None:
        config = Config.from_env({})
        assert (config.port, config.host, config.gateways, config.workers) == (3000, "127.0.0.1", 1, 1)
        assert config.restart
        assert config.amqp_url is None
        assert config.root.name == ".parley"

    def test_every_variable_is_read(self) -> None:
        config = Config.from_env(
            {
                "PORT": "4000",
                "HOST": "0.0.0.0",
                "GATEWAYS": "2",
                "WORKERS": "3",
                "RESTART": "0",
                "AMQP_URL": "amqp://broker/",
                "MONGO_URL": "mongodb://database/parley",
                "JWT_SECRET": "x" * 32,
                "DRAIN_TIMEOUT": "2.5",
                "PARLEY_DIR": "/tmp/elsewhere",
            }
        )
        assert config == Config(
            port=4000,
            host="0.0.0.0",
            gateways=2,
            workers=3,
            restart=False,
            amqp_url="amqp://broker/",
            mongo_url="mongodb://database/parley",
            jwt_secret="x" * 32,
            drain_timeout=2.5,
            root=Path("/tmp/elsewhere"),
        )

    def test_empty_means_unset(self) -> None:
        """`make run AMQP_URL=` starts a broker."""
        assert Config.from_env({"PORT": "", "AMQP_URL": "", "RESTART": "", "JWT_SECRET": ""}) == Config()

    @pytest.mark.parametrize(
        ("name", "value"), [("PORT", "abc"), ("GATEWAYS", "2.5"), ("RESTART", "no"), ("DRAIN_TIMEOUT", "soon")]
    )
    def test_nonsense_is_refused_by_name(self, name: str, value: str) -> None:
        with pytest.raises(EmbeddedError, match=f"{name}='{value}'"):
            Config.from_env({name: value})

    @pytest.mark.parametrize(("host", "reached"), [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("10.0.0.7", "10.0.0.7")])
    def test_clients_reach_a_host_that_means_all_addresses(self, host: str, reached: str) -> None:
        assert Config(host=host).reachable_host == reached

    def test_the_public_secret_is_for_this_machine_only(self) -> None:
        assert Config(host="0.0.0.0").open_to_all
        assert not Config(host="0.0.0.0", jwt_secret="x" * 32).open_to_all
        assert not any(Config(host=host).open_to_all for host in ("127.0.0.1", "127.8.8.8", "::1", "localhost"))


class TestServices:
    links = {"AMQP_URL": "amqp://ours/", "MONGO_URL": "mongodb://ours/parley", "MEDIA_URL": "http://ours/"}

    def test_gateways_get_no_database(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Not ours, and not the one a developer's shell happens to name."""
        monkeypatch.setenv("MONGO_URL", "mongodb://shell/")
        (spec,) = gateways(Config(), Ports(3000), {"MONGO_URL": "mongodb://given/"}, self.links)
        assert "MONGO_URL" not in spec.env
        assert spec.env["AMQP_URL"] == "amqp://ours/"
        assert spec.env["PORT"] == "3000"

    def test_listeners_lie_as_far_apart_as_their_gateways(self) -> None:
        """Those of gateway 0 are as asked for, the others' a hundred up; each gateway's own port is among them."""
        given = {"LISTENERS": "3001=booking, 3002=team", "CHAT_SERVER_PORT": "3005"}
        first, second = gateways(Config(gateways=2), Ports(3000, 2), given, self.links, team_port=3003)
        assert first.env["LISTENERS"] == "3000=auto,3001=booking,3002=team"
        assert second.env["LISTENERS"] == "3100=auto,3101=booking,3102=team"
        assert (first.env["CHAT_SERVER_PORT"], second.env["CHAT_SERVER_PORT"]) == ("3005", "3105")
        (named,) = gateways(Config(), Ports(3000), {"LISTENERS": "3000=booking"}, self.links, team_port=3003)
        assert (named.env["LISTENERS"], named.env["CHAT_SERVER_PORT"]) == ("3000=booking", "0")

    def test_gateway_0_has_a_port_for_team(self) -> None:
        """Unless it is not wanted, or whoever asks for listeners has said which there are."""
        first, second = gateways(Config(gateways=2), Ports(3000, 2), {}, self.links, team_port=3003)
        assert (first.env["CHAT_SERVER_PORT"], second.env["CHAT_SERVER_PORT"]) == ("3003", "0")
        assert "LISTENERS" not in first.env
        (without,) = gateways(Config(), Ports(3000), {"CHAT_SERVER_PORT": "0"}, self.links, team_port=3003)
        assert without.env["CHAT_SERVER_PORT"] == "0"

    def test_files_have_their_place(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Gateways find them, only the media service has a port and a directory for them, and links lead back here."""
        monkeypatch.delenv("PUBLIC_URL", raising=False)
        monkeypatch.setenv("MEDIA_URL", "http://shell/")
        config, ports = Config(root=Path("/data"), workers=2), Ports(3000, 1, 2)
        (front,) = gateways(config, ports, {}, self.links)
        behind = {spec.name: spec.env for spec in workers(config, ports, {}, self.links)}
        assert (front.env["MEDIA_URL"], front.env["PUBLIC_URL"]) == ("http://ours/", "http://127.0.0.1:3000")
        assert [name for name, env in behind.items() if "MEDIA_PORT" in env] == ["media-0"]
        assert (behind["media-0"]["MEDIA_PORT"], behind["media-0"]["UPLOAD_DIR"]) == ("3012", "/data/uploads")
        assert behind["media-0"]["PUBLIC_URL"] == front.env["PUBLIC_URL"]

    def test_links_to_files_begin_as_the_settings_say(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where clients may come by any address, none is known."""
        monkeypatch.delenv("PUBLIC_URL", raising=False)
        given = {"PUBLIC_URL": "https://chat.example.com"}
        (named,) = gateways(Config(), Ports(3000), given, self.links)
        assert named.env["PUBLIC_URL"] == "https://chat.example.com"
        (open_to_all,) = gateways(Config(host="0.0.0.0"), Ports(3000), {}, self.links)
        assert "PUBLIC_URL" not in open_to_all.env

    def test_settings_pass_through_and_addresses_do_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SHARDS", "8")
        monkeypatch.setenv("OPS_PORT", "1")
        specs = workers(Config(workers=2), Ports(3000, 1, 2), {"MESSAGES_PER_MINUTE": "0"}, self.links)
        assert [spec.name for spec in specs] == ["rooms-0", "media-0", "messages-0", "messages-1"]
        last = specs[-1].env
        assert (last["SHARDS"], last["MESSAGES_PER_MINUTE"], last["EMBEDDED"]) == ("8", "0", "1")
        assert (last["INSTANCE"], last["OPS_PORT"], last["HOST"]) == ("messages-1", "3021", "127.0.0.1")
        assert last["MONGO_URL"] == "mongodb://ours/parley"


class TestBackoff:
    def test_a_single_death_is_followed_by_a_restart_at_once(self) -> None:
        assert Backoff().after(0.1) == 0

    def test_repeated_quick_deaths_wait_longer_each_time_up_to_a_bound(self) -> None:
        backoff = Backoff()
        assert [backoff.after(1.0) for _ in range(8)] == [0, 0.25, 0.5, 1, 2, 4, 5, 5]

    def test_a_healthy_life_forgives(self) -> None:
        backoff = Backoff()
        for _ in range(5):
            backoff.after(1.0)
        assert backoff.after(Backoff.HEALTHY) == 0


class TestHome:
    def test_one_supervisor_at_a_time(self, tmp_path: Path) -> None:
        first, second = Home(tmp_path), Home(tmp_path)
        assert second.supervisor() is None
        first.acquire()
        assert second.supervisor() == os.getpid()
        with pytest.raises(AlreadyRunning, match=f"pid {os.getpid()}"):
            second.acquire()
        first.release()
        assert second.supervisor() is None
        assert second.read_pid(SUPERVISOR) is None

    def test_a_pid_file_is_replaced_whole(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        home.acquire()
        for pid in (4242, 7):
            home.write_pid("mongod", pid)
            assert (tmp_path / "run" / "mongod.pid").read_text() == f"{pid}\n"
        home.forget_pid("mongod")
        assert home.read_pid("mongod") is None
        home.release()

    async def test_a_reused_pid_is_nobody_of_ours(self, tmp_path: Path) -> None:
        """A stale pid file that names a stranger: the file goes, the stranger (here, this process) stays."""
        home = Home(tmp_path)
        home.acquire()
        home.write_pid("mongod", os.getpid())
        assert home.leftovers() == []
        assert await home.clear_leftovers(grace=1) == 0
        assert home.read_pid("mongod") is None
        home.release()

    def test_a_large_log_is_moved_aside(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(homes, "ROTATE_BYTES", 10)
        home = Home(tmp_path)
        home.log.mkdir()
        for text in (b"0123456789", b"more", b"fresh"):
            with home.open_log("mongod") as log:
                log.write(text)
        assert home.log_path("mongod").read_bytes() == b"fresh"
        assert (tmp_path / "log" / "mongod.log.1").read_bytes() == b"0123456789more"

    def test_tail_shows_the_last_lines(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        assert home.tail("mongod") == ""
        home.log.mkdir()
        home.log_path("mongod").write_text("\n".join(str(number) for number in range(100)))
        assert home.tail("mongod", lines=2) == "    98\n    99"

    def test_tail_shows_nothing_of_an_earlier_run(self, tmp_path: Path) -> None:
        home = Home(tmp_path)
        home.log.mkdir()
        home.log_path("mongod").write_text("old words\nnew words\n")
        assert home.tail("mongod", start=len("old words\n")) == "    new words"
