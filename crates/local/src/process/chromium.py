"""`--dump-dom` and `--screenshot` of Chromium's command line, for a Chromium that leaves them out.

The Chromium of npm's `@sparticuz/chromium`, made for AWS Lambda, is all of the browser but for what these two options
need; programs drive it by the DevTools protocol. This one does, over the pipe that `--remote-debugging-pipe` reads
and writes: JSON texts that end with a zero byte. All other options go to Chromium as they are.
"""

import base64
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
UNPACKED = os.path.join(HERE, "unpacked")

# Only the fonts of the package, so that pages look the same on every machine.
FONTS = f"""<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>{UNPACKED}/fonts/fonts</dir><cachedir>{UNPACKED}/font-cache</cachedir></fontconfig>
"""


class Browser:
    def __init__(self, options):
        (browser_in, to_browser), (from_browser, browser_out) = os.pipe(), os.pipe()

        def in_place():
            # Chromium reads commands from 3 and writes answers to 4. Copies first: the originals may have these numbers.
            read, write = os.dup(browser_in), os.dup(browser_out)
            high = [os.dup2(fd, 100 + n) for n, fd in enumerate((read, write))]
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        environment = dict(os.environ, FONTCONFIG_FILE=f"{UNPACKED}/fonts.conf", LD_LIBRARY_PATH=f"{UNPACKED}/al2023/lib")
        self.process = subprocess.Popen(
            [f"{UNPACKED}/chromium", *options, "--remote-debugging-pipe", "about:blank"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=in_place,
        )
        os.close(browser_in)
        os.close(browser_out)
        self.to, self.of = os.fdopen(to_browser, "wb"), os.fdopen(from_browser, "rb")
        self.asked, self.held, self.events, self.session = 0, b"", [], None

    def read(self):
        while b"\0" not in self.held:
            more = os.read(self.of.fileno(), 1 << 16)
            if not more:
                raise EOFError("Chromium ended")
            self.held += more
        message, _, self.held = self.held.partition(b"\0")
        return json.loads(message)

    def call(self, method, **parameters):
        self.asked += 1
        request = {"id": self.asked, "method": method, "params": parameters}
        if self.session:
            request["sessionId"] = self.session
        self.to.write(json.dumps(request).encode() + b"\0")
        self.to.flush()
        while True:
            message = self.read()
            if message.get("id") == self.asked:
                if "error" in message:
                    raise RuntimeError(f"{method}: {message['error']}")
                return message["result"]
            self.events.append(message.get("method"))

    def wait_for(self, event):
        while event not in self.events:
            self.events.append(self.read().get("method"))


def main(arguments):
    if "--version" in arguments:
        os.execv(f"{UNPACKED}/chromium", ["chromium", "--version"])
    with open(f"{UNPACKED}/fonts.conf", "w") as file:
        file.write(FONTS)
    own = dict(argument.partition("=")[::2] for argument in arguments[:-1])
    dump, picture = "--dump-dom" in own, own.pop("--screenshot", None)
    budget = int(own.pop("--virtual-time-budget", "0"))
    width, height = map(int, own.get("--window-size", "800,600").split(","))
    if own.pop("--force-dark-mode", None) is not None:
        own["--blink-settings"] = "preferredColorScheme=0"
    own.pop("--dump-dom", None)
    browser = Browser([f"{name}={value}" if value else name for name, value in own.items()])
    target = browser.call("Target.createTarget", url="about:blank")["targetId"]
    browser.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    browser.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
    browser.call("Page.enable")
    browser.call("Page.navigate", url=arguments[-1])
    browser.wait_for("Page.loadEventFired")
    if budget:
        policy = "pauseIfNetworkFetchesPending"
        browser.call("Emulation.setVirtualTimePolicy", policy=policy, budget=budget)
        browser.wait_for("Emulation.virtualTimeBudgetExpired")
    if dump:
        html = browser.call("Runtime.evaluate", expression="document.documentElement.outerHTML")
        print(html["result"]["value"])
    if picture:
        data = browser.call("Page.captureScreenshot")["data"]
        with open(picture, "wb") as file:
            file.write(base64.b64decode(data))
    browser.process.kill()
    browser.process.wait()


main(sys.argv[1:])
