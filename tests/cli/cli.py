"""What the tests of the program `ocala` share: running it, and a server that plays the daemon."""
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

OCALA = os.environ["OCALA"]
EXAMPLES = os.environ["OCALA_EXAMPLES"]
SECRET = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


def ocala(*words, program=OCALA, env=None, **more):
    """Runs it; stdout and stderr as text."""
    clean = {k: v for k, v in os.environ.items() if k != "OCALA_SOCKET"}
    clean.update(LC_ALL="C.UTF-8", **(env or {}))
    return subprocess.run([program, *words], env=clean, timeout=30, text=True, stdin=subprocess.DEVNULL,
                          stdout=more.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, **more)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="ocala-cli-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8", opener=lambda p, f: os.open(p, f, 0o600)) as f:
            f.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def expect(self, result, status, says="", complains=""):
        """Checks exit status and that the texts are in stdout and stderr; a complaint never comes with status 0."""
        shown = f"status {result.returncode}\n--- stdout\n{result.stdout}\n--- stderr\n{result.stderr}"
        self.assertEqual(result.returncode, status, shown)
        self.assertIn(says, result.stdout or "", shown)
        self.assertIn(complains, result.stderr, shown)
        return result


class Daemon:
    """A control socket that answers each command with the lines that `replies` has for it, and notes the requests.

    A reply is an object (sent as a line), bytes (sent as they are), or None (the connection is closed).
    """

    def __init__(self, path, replies):
        self.path, self.replies, self.requests = path, replies, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, client.makefile("rb") as lines:
                line = lines.readline()
                if line:
                    self.answer(client, json.loads(line))

    def answer(self, client, request):
        self.requests.append(request)
        for reply in self.replies.get(request["command"], []):
            if reply is None:
                return
            client.sendall(reply if isinstance(reply, bytes) else json.dumps(reply).encode() + b"\n")

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(10)


class DaemonCase(Case):
    def daemon(self, **replies):
        """Plays a daemon; `path_close=[...]` answers path.close."""
        names = {"path_close": "path.close", "key_forget": "key.forget", "log_set": "log.set"}
        daemon = Daemon(self.path("control.sock"), {names.get(k, k): v for k, v in replies.items()})
        self.addCleanup(daemon.close)
        return daemon

    def ask(self, *words, **more):
        return ocala("--socket", self.path("control.sock"), *words, **more)
