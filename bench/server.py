#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""otterd against nginx and against Python's http.server: work done per second of the server's own
CPU time, and latency. Each round runs every server in turn, so that what the machine does meanwhile
hits all alike; the median of the rounds counts. Needs Debian's nginx-light.

    bench/server.py BUILD [--rounds N] [--seconds S] [--soak N]
"""
import argparse
import json
import os
import re
import shutil
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "tests", "e2e"))
sys.dont_write_bytecode = True
USER, PASSWORD = "bench", "bench-password"
FILE_SIZE = 1 << 20
SHORT, PAIRS = 0.4, 60  # seconds, and runs of both, for by_devices()
TICKS = os.sysconf("SC_CLK_TCK")

NGINX = """
worker_processes 2; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 100000000; sendfile on; tcp_nopush on; tcp_nodelay on;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; default_type application/octet-stream;
    server {{
        listen 127.0.0.1:{port} ssl reuseport;
        ssl_certificate {etc}/server.pem; ssl_certificate_key {etc}/server-key.pem;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_session_tickets on;
        location /devices/ {{ default_type text/csv; return 200 "fw.bin"; }}
        location /files/ {{ alias {folder}/files/; }}
    }}
}}
"""


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Contestant:
    """A server and all its processes."""

    def __init__(self, name, command, port, env=None):
        self.name, self.port = name, port
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                        env={**os.environ, **(env or {})})
        for _ in range(1200):
            with socket.socket() as sock:
                if sock.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(0.05)
        sys.exit(f"{name} did not start")

    def pids(self):
        children = subprocess.run(["pgrep", "-P", str(self.process.pid)], capture_output=True,
                                  check=False).stdout.split()
        return [self.process.pid, *map(int, children)]

    def cpu(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                fields = stat.read().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total / TICKS

    def cpu_exact(self):
        """The same from the scheduler, in nanoseconds, for short measurements."""
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as stat:
                    total += int(stat.read().split()[0])
        return total / 1e9

    def memory(self):
        total = 0
        for pid in self.pids():
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as smaps:
                total += sum(int(line.split()[1]) for line in smaps
                             if line.startswith(("Private_Clean", "Private_Dirty")))
        return total

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Bench:
    def __init__(self, build, rounds, seconds):
        os.environ["OTTER_BUILD"] = build
        from otterd import image
        self.image = image
        self.build, self.rounds, self.seconds = build, rounds, seconds
        self.otterd = os.path.join(build, "server", "otterd")
        self.load_program = os.path.join(build, "bench", "bench-server-load")
        self.folder = tempfile.mkdtemp(prefix="otter-bench-")
        self.etc = os.path.join(self.folder, "etc")
        subprocess.run([self.otterd, "init", "--name", "localhost", self.etc], check=True,
                       stdout=subprocess.DEVNULL)
        os.makedirs(os.path.join(self.folder, "files"))
        self.firmware = os.path.join(self.folder, "files", "fw.bin")
        with open(self.firmware, "wb") as file:
            file.write(image("1.0.0", FILE_SIZE))

    def start_otterd(self, devices, name="otterd", under=(), threads=2):
        port, data = free_port(), os.path.join(self.folder, name)
        server = Contestant(name, [
            *under, self.otterd, "--dir", self.etc, "--data", data, "--listen", f"127.0.0.1:{port}",
            "--max-per-address", "8000", "--quiet", "--threads", str(threads),
            *(["--user", "root"] if os.geteuid() == 0 else [])], port,
            {"US_AUTH_USERNAME": USER, "US_AUTH_PASSWORD": PASSWORD})
        self.load(server, "keep", 1, 0.05, "PUT", "/files/fw.bin", self.firmware)
        database = sqlite3.connect(os.path.join(data, "devices.db"), timeout=30)
        database.executemany("INSERT OR REPLACE INTO device_app VALUES(?, '1', 'fw.bin')",
                             ((str(n),) for n in range(devices)))
        database.commit()
        database.close()
        return server

    def refresh(self, server, devices):
        """Every device has polled just now: the next polls say nothing new, and are reads alone. The
        server is made to forget what it remembers of them, and asked once about each."""
        path = os.path.join(self.folder, server.name, "devices.db")
        database = sqlite3.connect(path, timeout=30)
        database.execute("UPDATE device SET last_seen = ?, address = '127.0.0.1', version = '1'",
                         (int(time.time()),))
        database.execute("UPDATE revision SET number = random()")
        database.commit()
        database.close()
        self.load(server, "keep", 4, 600, "GET", "/devices/{}?app_ver=1", ids=devices, sweep=True)

    def start_nginx(self):
        port, config = free_port(), os.path.join(self.folder, "nginx.conf")
        with open(config, "w", encoding="ascii") as file:
            file.write(NGINX.format(folder=self.folder, port=port, etc=self.etc))
        os.chmod(self.folder, 0o755)
        os.chmod(os.path.join(self.etc, "server-key.pem"), 0o644)
        return Contestant("nginx", ["/usr/sbin/nginx", "-c", config, "-e",
                                    os.path.join(self.folder, "error.log")], port)

    def start_python(self):
        port, path = free_port(), os.path.join(self.folder, "plain.db")
        database = sqlite3.connect(path)
        database.execute("CREATE TABLE device_app(device_id TEXT PRIMARY KEY, app_ver TEXT, "
                         "update_file_path TEXT)")
        database.executemany("INSERT INTO device_app VALUES(?, '1', 'fw.bin')",
                             ((str(n),) for n in range(10)))
        database.commit()
        database.close()
        return Contestant("python", [
            "/usr/bin/python3", os.path.join(HERE, "plain_server.py"), str(port),
            os.path.join(self.etc, "server.pem"), os.path.join(self.etc, "server-key.pem"), path,
            os.path.join(self.folder, "files"), f"{USER}:{PASSWORD}"], port)

    def load(self, server, mode, threads, seconds, method, path, *body, ids=10, requests=None,
             sweep=False):
        line = [self.load_program, mode, str(server.port), str(threads), str(seconds), method, path,
                f"{USER}:{PASSWORD}", *body]
        env = {**os.environ, "LOAD_IDS": str(ids)}
        if requests:
            env["LOAD_REQUESTS"] = str(requests)
        if sweep:
            env["LOAD_SWEEP"] = "1"
        done = subprocess.run(line, capture_output=True, check=True, env=env)
        return json.loads(done.stdout)

    def measure(self, server, mode, threads, path, ids=10):
        """(work per CPU second, latency in the middle) of one run."""
        before = server.cpu()
        said = self.load(server, mode, threads, self.seconds, "GET", path, ids=ids)
        used = server.cpu() - before
        if said["errors"]:
            print(f"  {server.name}: {said['errors']} errors", file=sys.stderr)
        work = said["bytes"] / 1e6 if path.startswith("/files/") else said["requests"]
        if mode == "resumed" and said["resumed"] < said["requests"] * 0.9:
            print(f"  {server.name}: only {said['resumed']} of {said['requests']} resumed",
                  file=sys.stderr)
        return work / max(used, 1 / TICKS), said["p50"], said["p99"]

    def compare(self, servers, mode, threads, path):
        results = {server.name: [] for server in servers}
        for _ in range(self.rounds):
            for server in servers:
                results[server.name].append(self.measure(server, mode, threads, path))
        return {name: [statistics.median(column) for column in zip(*rows)]
                for name, rows in results.items()}

    def cost(self, server, ids):
        """CPU time of a poll, in microseconds, from one short run."""
        before = server.cpu_exact()
        said = self.load(server, "keep", 4, SHORT, "GET", "/devices/{}?app_ver=1", ids=ids)
        return (server.cpu_exact() - before) * 1e6 / said["requests"]

    def by_devices(self):
        """What 100,000 known devices add to a poll's CPU time, in per cent, when each has asked
        before and nothing else has changed since. Ten devices and 100,000 are drawn at random over
        the same four connections. That is harder than what real ones do: each of those has its own
        connection, and asks about itself. Short runs in turn, many of them: what else the machine
        does makes some dearer, so the best quarter of each counts. One worker: it alone has to know
        all devices."""
        known = {self.start_otterd(number, f"known-{number}", threads=1): number
                 for number in (10, 100000)}
        costs, fresh = {server: [] for server in known}, 0
        for number in range(PAIRS):
            if time.monotonic() - fresh > 10:  # before their last polls are old news
                for server, devices in known.items():
                    self.refresh(server, devices)
                fresh = time.monotonic()
            for server, devices in list(known.items())[::1 if number % 2 else -1]:
                costs[server].append(self.cost(server, devices))
        for server in known:
            server.stop()
        few, many = (statistics.median(sorted(rows)[:PAIRS // 4]) for rows in costs.values())
        return many, 100 * (many / few - 1)

    def instructions(self, devices):
        """Instructions of a poll, counted by valgrind: nearly the same on every machine, busy or not, as
        long as 8,000 polls take less than half a minute. Most of 100,000 devices ask for the first
        time then."""
        counts = []
        for polls in (3000, 8000):
            name = f"counted-{devices}-{polls}"
            log = os.path.join(self.folder, name + ".log")
            server = self.start_otterd(devices, name, [
                "valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null",
                f"--log-file={log}"], 1)
            self.refresh(server, 10)
            self.load(server, "keep", 1, 600, "GET", "/devices/{}?app_ver=1", ids=devices,
                      requests=polls)
            server.stop()
            with open(log, encoding="ascii") as file:
                said = re.search(r"I +refs: +([0-9,]+)", file.read())
            counts.append(int(said.group(1).replace(",", "")))
        return (counts[1] - counts[0]) / 5000

    def idle(self, server, count=1000):
        """Private memory of one idle TLS connection that has asked once, in bytes."""
        before = server.memory()
        line = [self.load_program, "idle", str(server.port), str(count), "0", "GET",
                "/devices/1?app_ver=1", f"{USER}:{PASSWORD}"]
        with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
            said = json.loads(held.stdout.readline())
            assert said["requests"] == count, said
            time.sleep(1)
            after = server.memory()
            held.stdin.close()
        return (after - before) * 1024 / count

    def soak(self, server, uploads):
        """Memory before and after many uploads and polls, in KB."""
        small = os.path.join(self.folder, "small.bin")
        with open(small, "wb") as file:
            file.write(self.image("2.0.0", 2000))
        self.load(server, "keep", 4, 5, "PUT", "/files/soak.bin", small)
        self.load(server, "full", 4, 3, "GET", "/devices/{}?app_ver=1")
        before, done, polls = server.memory(), 0, 0
        while done < uploads or polls < uploads:
            done += self.load(server, "keep", 4, 20, "PUT", "/files/soak.bin", small)["requests"]
            polls += self.load(server, "keep", 4, 2, "GET", "/devices/{}?app_ver=1")["requests"]
            print(f"  {done} uploads, {polls} polls: {server.memory()} KB", flush=True)
        return before, server.memory()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--soak", type=int, default=0)
    options = parser.parse_args()
    bench = Bench(os.path.abspath(options.build), options.rounds, options.seconds)
    servers = []
    good = True
    try:
        servers = [bench.start_otterd(10), bench.start_nginx(), bench.start_python()]
        otterd = servers[0]
        poll = "/devices/{}?app_ver=1"
        print(f"{options.rounds} rounds of {options.seconds:g} s; work per second of the server's "
              "CPU time, and latency")
        print(f"{'':34} {'otterd':>9} {'nginx':>9} {'python':>9} {'of nginx':>9} {'goal':>6}")
        for title, mode, threads, path, goal in (
                ("polls, kept alive", "keep", 4, poll, 50),
                ("full handshake + poll", "full", 4, poll, 85),
                ("resumed handshake + poll", "resumed", 4, poll, 85),
                ("download, MB", "keep", 2, "/files/fw.bin", 80)):
            said = bench.compare(servers[:3], mode, threads, path)
            share = 100 * said["otterd"][0] / said["nginx"][0]
            good = good and share >= goal
            print(f"{title:34} " + " ".join(f"{said[n][0]:9.0f}" for n in said) +
                  f" {share:8.0f}% {goal:5}%" + ("" if share >= goal else "  MISSED"))
            print(f"{'  latency p50 / p99, microseconds':34} " +
                  " ".join(f"{said[n][1]:.0f}/{said[n][2]:.0f}".rjust(9) for n in said))
        microseconds, change = bench.by_devices()
        good = good and change < 10
        print(f"{'a poll among 100,000 devices':34} {microseconds:9.2f} us of CPU time, {change:+.1f} % "
              "(goal: below 10 %)")
        if shutil.which("valgrind"):
            few, lots = bench.instructions(10), bench.instructions(100000)
            print(f"{'  its first poll, instructions':34} {lots:9.0f}   {100 * (lots / few - 1):+.1f} %")
        idle = bench.idle(otterd)
        good = good and idle <= 25000
        print(f"{'an idle TLS connection':34} {idle:9.0f} bytes (goal: at most 25000)")
        if options.soak:
            before, after = bench.soak(otterd, options.soak)
            print(f"memory before and after {options.soak} uploads and polls: {before} and {after} KB")
    finally:
        for server in servers:
            server.stop()
        shutil.rmtree(bench.folder, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
