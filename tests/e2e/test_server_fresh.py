# SPDX-License-Identifier: Apache-2.0
"""Polls are answered from memory as long as nothing changed: no answer is ever an old one, through
whichever worker it comes and whoever made the change."""
import contextlib
import os
import sqlite3

import pytest

from otterd import Certificates, Server, check_store, eventually, image

CLIENTS = 30  # connections, so that every worker has some


@pytest.fixture(scope="module", autouse=True)
def setup():
    yield
    Certificates.remove()


class Crowd:
    """Connections to all workers of a server. Each asks twice: the second answer comes from memory."""

    def __init__(self, server):
        self.server = server
        self.clients = [server.http() for _ in range(CLIENTS)]

    def poll(self, path="/devices/a?app_ver=1"):
        """What every connection is told, which must be the same."""
        answers = set()
        for _ in range(2):
            for client in self.clients:
                status, body, fields = self.server.ask("GET", path, client=client)
                answers.add((status, body if status == 200 else b"",
                             fields.get("Otter-Image-SHA256")))
        assert len(answers) == 1, answers
        return answers.pop()

    def statuses(self):
        """What every connection is told; workers may find out about a lost database one by one."""
        return {self.server.ask("GET", "/devices/a?app_ver=1", client=client)[0]
                for client in self.clients}

    def close(self):
        for client in self.clients:
            client.close()


@pytest.fixture(name="crowd")
def running():
    with Server("--threads", "3") as server:
        assert server.ask("PUT", "/files/fw", image("2"))[0] == 200
        assert server.ask("PUT", "/devices/a", '"a","1","fw"')[0] == 200
        with contextlib.closing(Crowd(server)) as crowd:
            assert crowd.poll()[:2] == (200, b"fw")
            # What these polls said has been written down: from here on nothing changes by itself.
            assert eventually(lambda: known(server, "version"), "1") == "1"
            assert crowd.poll()[:2] == (200, b"fw")
            yield crowd


def known(server, column):
    """What the database has of the device."""
    with contextlib.closing(server.database()) as database:
        return database.execute(f"SELECT {column} FROM device WHERE id = 'a'").fetchone()[0]


def sql(server, *statements):
    """As another program that has the database open does it."""
    with contextlib.closing(server.database()) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def test_changes_by_the_api_are_seen_by_every_worker(crowd):
    ask = crowd.server.ask
    for n in range(5):  # through one worker after another
        client = crowd.clients[n]
        assert ask("PUT", "/devices/a", '"a","0","fw"', client=client)[0] == 200
        assert crowd.poll()[0] == 204
        assert ask("PUT", "/devices/a", '"a","1","fw"', client=client)[0] == 200
        assert crowd.poll()[0] == 200
        before = crowd.poll()[2]
        assert ask("PUT", "/files/fw", image("2", seed=n + 2, size=2000), client=client)[0] == 200
        assert crowd.poll()[:2] == (200, b"fw") and crowd.poll()[2] != before
        assert ask("DELETE", "/api/v1/devices/a/assignment", client=client)[0] == 204
        assert crowd.poll()[0] == 404
        assert ask("PUT", "/devices/a", '"a","1","fw"', client=client)[0] == 200
        assert crowd.poll()[0] == 200
        assert ask("DELETE", "/devices/a", client=client)[0] == 200
        assert crowd.poll()[0] == 404
        assert ask("PUT", "/devices/a", '"a","1","fw"', client=client)[0] == 200
        assert crowd.poll()[0] == 200


CHANGES = [
    # what another program does, and what the next poll is told
    ("UPDATE device_app SET app_ver = '2'", 204, b""),
    ("UPDATE device_app SET update_file_path = 'other'", 200, b"other"),
    ("INSERT OR REPLACE INTO device_app VALUES('a', '1', 'other')", 200, b"other"),
    ("DELETE FROM device_app", 404, b""),
    ("UPDATE device SET assigned = 0", 404, b""),
    ("UPDATE device SET from_version = 'x'", 204, b""),
    ("UPDATE device SET id = 'b'", 404, b""),
    ("DELETE FROM device", 404, b""),
    ("DELETE FROM file WHERE name = 'fw'", 404, b""),
    ("UPDATE file SET name = 'moved' WHERE name = 'fw'", 404, b""),
]


@pytest.mark.parametrize("change, status, body", CHANGES, ids=[row[0] for row in CHANGES])
def test_changes_by_other_programs_are_seen_by_every_worker(crowd, change, status, body):
    assert crowd.server.ask("PUT", "/files/other", image("3"))[0] == 200
    assert crowd.poll()[:2] == (200, b"fw")
    sql(crowd.server, change)
    assert crowd.poll()[:2] == (status, body)


def test_a_digest_changed_by_another_program(crowd):
    sql(crowd.server, "UPDATE file SET digest = 'abc' WHERE name = 'fw'")
    assert crowd.poll() == (200, b"fw", "abc")


def test_a_restored_copy_with_another_past(crowd, tmp_path):
    """The copy is put back through SQLite while the server runs, and goes its own way."""
    server, ways = crowd.server, []
    with contextlib.closing(server.database()) as database:
        with contextlib.closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
            database.backup(copy)
            for file in ("b", "c"):
                copy.backup(database)
                assert crowd.poll()[:2] == (200, b"fw")
                database.execute("UPDATE device_app SET update_file_path = ?", (file,))
                database.commit()
                assert crowd.poll()[0] == 404
                assert server.ask("PUT", f"/files/{file}", image(file))[0] == 200
                ways.append(crowd.poll()[1])
    assert ways == [b"b", b"c"]


@contextlib.contextmanager
def another(crowd):
    """Gives a copy of the database to change, and takes the file itself away. In the log of that one
    are pages that are not to get into the copy."""
    path = os.path.join(crowd.server.data, "devices.db")
    assert os.path.getsize(path + "-wal") > 0
    with contextlib.closing(sqlite3.connect(path + ".other")) as other:
        with contextlib.closing(crowd.server.database()) as database:
            database.backup(other)
        yield other
        other.commit()
        other.execute("PRAGMA journal_mode=DELETE")
    os.rename(path, path + ".away")


@contextlib.contextmanager
def another_in_its_place(crowd):
    """The same, and puts the copy there once every worker has noticed."""
    with another(crowd) as other:
        yield other
    assert eventually(crowd.statuses, {503}) == {503}
    path = os.path.join(crowd.server.data, "devices.db")
    os.rename(path + ".other", path)


def test_a_database_put_in_place_of_another(crowd):
    """That one has the same revision."""
    with another_in_its_place(crowd) as other:
        revision = other.execute("SELECT number FROM revision").fetchone()
        other.execute("UPDATE device_app SET app_ver = '2'")
        other.execute("UPDATE revision SET number = ?", revision)
    assert eventually(crowd.statuses, {204}) == {204}
    assert crowd.poll()[0] == 204


def test_a_database_put_in_place_of_another_while_the_server_stops():
    with Server() as server:
        assert server.ask("PUT", "/files/fw", image("2"))[0] == 200
        assert server.ask("PUT", "/devices/a", '"a","1","fw"')[0] == 200
        with contextlib.closing(Crowd(server)) as crowd, another(crowd) as other:
            other.execute("UPDATE device_app SET app_ver = '2'")
        path = os.path.join(server.data, "devices.db")
        server.stop()
        os.rename(path + ".other", path)
        server.start()
        assert server.ask("GET", "/devices/a?app_ver=1")[0] == 204


def test_a_database_of_an_older_otterd_put_in_place(crowd):
    """As a backup is, from before an upgrade: it gets its revision while the server runs."""
    with another_in_its_place(crowd) as other:
        other.execute("UPDATE device_app SET app_ver = '2'")
        version = other.execute("PRAGMA user_version").fetchone()[0]
        for (name,) in other.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' "
                                     "AND sql LIKE '%revision%'").fetchall():
            other.execute(f"DROP TRIGGER {name}")
        other.execute("DROP TABLE revision")
        other.execute("PRAGMA user_version = 3")
    assert eventually(crowd.statuses, {204}) == {204}
    with contextlib.closing(crowd.server.database()) as database:
        assert database.execute("PRAGMA user_version").fetchone()[0] == version
    sql(crowd.server, "UPDATE device_app SET app_ver = '1'")
    assert crowd.poll()[:2] == (200, b"fw")
    assert crowd.server.ask("DELETE", "/devices/a")[0] == 200
    assert crowd.poll()[0] == 404


def test_an_empty_database_put_in_place_stays_empty(crowd):
    """It would pass for a fleet without devices."""
    path = os.path.join(crowd.server.data, "devices.db")
    os.rename(path, path + ".away")
    assert eventually(crowd.statuses, {503}) == {503}
    with open(path, "wb"):
        pass
    ask = crowd.server.ask
    damaged = b"the database is damaged\n"
    assert eventually(lambda: ask("GET", "/devices/a?app_ver=1")[1], damaged) == damaged
    assert eventually(lambda: ask("PUT", "/devices/a", '"a","2","fw"')[1], damaged) == damaged
    os.rename(path + ".away", path)
    assert eventually(crowd.statuses, {200}) == {200}
    assert eventually(lambda: ask("PUT", "/devices/a", '"a","2","fw"')[0]) == 200


def test_polls_are_noted_all_the_same(crowd):
    """What a device says of itself is compared with what it said last, also from memory."""
    for version in ("2", "3", "2"):
        crowd.poll(f"/devices/a?app_ver={version}")
        assert eventually(lambda: known(crowd.server, "version"), version) == version
    sql(crowd.server, "UPDATE device SET version = 'changed by hand'")
    crowd.poll("/devices/a?app_ver=2")
    assert eventually(lambda: known(crowd.server, "version"), "2") == "2"


def test_when_a_device_was_seen_makes_nothing_old(crowd):
    """Notes come all the time: they leave the answers in memory valid, and are no revision."""
    def revision():
        with contextlib.closing(crowd.server.database()) as database:
            return database.execute("SELECT number FROM revision").fetchone()[0]

    # Every worker reads anew, and that it was seen long ago: its next poll is to be noted.
    sql(crowd.server, "UPDATE device SET last_seen = 5", "UPDATE revision SET number = random()")
    before = revision()
    crowd.poll()
    assert eventually(lambda: known(crowd.server, "last_seen") > 5, True)
    assert revision() == before
    sql(crowd.server, "UPDATE device SET address = '10.1.1.1'")
    assert revision() != before
    check_store(crowd.server.data)
