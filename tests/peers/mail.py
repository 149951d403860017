"""A mail server that speaks first; with a port as its argument, a client of the standard library that sends one mail.

The server is as little of RFC 5321 as that client needs: it prints its port, and serves until its standard input ends.
"""

import os
import smtplib
import socketserver
import sys
import threading


class Session(socketserver.StreamRequestHandler):
    def say(self, line):
        self.wfile.write(line.encode() + b"\r\n")

    def handle(self):
        self.say("220 mail.example ready")
        for line in self.rfile:
            verb = line.strip().upper()[:4]
            if verb == b"DATA":
                self.say("354 go on")
                while self.rfile.readline().rstrip(b"\r\n") != b".":
                    pass
                self.say("250 kept")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                self.say("250 fine")


def serve():
    socketserver.ThreadingTCPServer.daemon_threads = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
        print(server.server_address[1], flush=True)
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
        server.serve_forever()


def send(port):
    with smtplib.SMTP("127.0.0.1", port, timeout=60) as client:
        client.sendmail("a@mail.example", ["b@mail.example"], "Subject: hello\r\n\r\nhello\r\n")
    print("delivered")


if len(sys.argv) > 1:
    send(int(sys.argv[1]))
else:
    serve()
