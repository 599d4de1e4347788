#!/usr/bin/env python3
"""Drives report.html in headless Chromium over its debugging pipe, with real key presses: TAP on standard output.
Usage: report_browser.py CHROMIUM REPORT.html SCRATCH_FOLDER [SCREENSHOT_PREFIX]"""
import base64, csv, json, os, select, subprocess, sys, time

chromium, page, scratch = sys.argv[1:4]
shots = sys.argv[4] if len(sys.argv) > 4 else None


class Browser:
    def __init__(self):
        to_child, self.out = os.pipe()
        self.into, from_child = os.pipe()
        # the pipe is the child's descriptors 3 and 4
        os.set_inheritable(to_child, True)
        os.set_inheritable(from_child, True)
        shell = f'exec "$0" "$@" 3<&{to_child} 4>&{from_child}'
        self.child = subprocess.Popen(
            ["bash", "-c", shell, chromium, "--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
             "--user-data-dir=" + os.path.join(scratch, "profile"), "--disable-dev-shm-usage", "--window-size=1280,800",
             "--host-resolver-rules=MAP * ~NOTFOUND", "about:blank"],
            pass_fds=(to_child, from_child), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_child)
        os.close(from_child)
        self.buffer, self.number, self.session, self.events = b"", 0, None, []

    def message(self, deadline):
        while b"\0" not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                raise TimeoutError("the browser does not answer")
            data = os.read(self.into, 1 << 20)
            if not data:
                raise EOFError("the browser has ended")
            self.buffer += data
        text, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(text)

    def call(self, method, **params):
        self.number += 1
        request = {"id": self.number, "method": method, "params": params}
        if self.session:
            request["sessionId"] = self.session
        os.write(self.out, json.dumps(request).encode() + b"\0")
        deadline = time.monotonic() + 120
        while True:
            m = self.message(deadline)
            if m.get("id") == self.number:
                if "error" in m:
                    raise RuntimeError(f"{method}: {m['error']}")
                return m["result"]
            self.events.append(m)

    def wait(self, event):
        deadline = time.monotonic() + 120
        while not any(m.get("method") == event for m in self.events):
            self.events.append(self.message(deadline))

    def open(self, url):
        if not self.session:
            target = self.call("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "Network"):
                self.call(domain + ".enable")
            self.call("Emulation.setDeviceMetricsOverride", width=1280, height=800, deviceScaleFactor=1, mobile=False)
        self.events = [m for m in self.events if m.get("method") != "Page.loadEventFired"]
        self.call("Page.navigate", url=url)
        self.wait("Page.loadEventFired")

    def value(self, expression):
        r = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in r:
            raise RuntimeError(f"{expression}: {r['exceptionDetails']}")
        return r["result"].get("value")

    def press(self, keys):
        for k in keys:
            code = {"Escape": 27, "Enter": 13}.get(k, ord(k.upper()[0]))
            text = {} if len(k) > 1 else {"text": k}
            self.call("Input.dispatchKeyEvent", type="keyDown", key=k, windowsVirtualKeyCode=code, **text)
            self.call("Input.dispatchKeyEvent", type="keyUp", key=k, windowsVirtualKeyCode=code)

    def shot(self, name):
        if shots:
            data = self.call("Page.captureScreenshot", format="png")["data"]
            with open(f"{shots}{name}.png", "wb") as f:
                f.write(base64.b64decode(data))

    def close(self):
        try:
            self.session = None
            self.call("Browser.close")
        except (TimeoutError, EOFError, OSError):
            self.child.kill()
        self.child.wait()


b = Browser()
url = "file://" + os.path.abspath(page)
current = "document.querySelector('.card.current')?.dataset.name"
decision = "Array.from(document.querySelectorAll('.card')).map(c => c.dataset.state || '').join()"
tally = "document.getElementById('tally').textContent"
viewer = "document.getElementById('viewer').open"
problems = ("Runtime.exceptionThrown", "Log.entryAdded")


def opens_without_errors_or_requests():
    b.open(url)
    bad = [m["params"] for m in b.events if m.get("method") in problems]
    assert not bad, bad
    asked = [m["params"]["request"]["url"][:80] for m in b.events if m.get("method") == "Network.requestWillBeSent"]
    assert all(a.startswith(("file://", "data:")) for a in asked), asked
    assert b.value("document.querySelectorAll('.card').length") == b.value("document.querySelectorAll('#tiles tbody tr').length") >= 3
    assert b.value("Array.from(document.images).filter(i => i.getAttribute('src')).every(i => i.loading === 'lazy' || i.complete)")
    assert b.value("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than a laptop"


def keys_walk_from_tile_to_tile():
    names = b.value("Array.from(document.querySelectorAll('.card')).map(c => c.dataset.name)")
    b.press("j")
    assert b.value(current) == names[0]
    b.press("jj")
    assert b.value(current) == names[2]
    b.press("k")
    assert b.value(current) == names[1]
    assert b.value("document.querySelector('#tiles tr.current a').textContent") == names[1]
    top = b.value("document.querySelector('.card.current').getBoundingClientRect().top")
    assert 0 <= top < 100, top


def keys_decide_and_undo():
    b.press("a")
    assert b.value(decision).split(",")[:3] == ["", "accept", ""], b.value(decision)
    b.press("jr")
    assert b.value(decision).split(",")[:3] == ["", "accept", "reject"]
    assert b.value(tally).startswith("1 accepted, 1 rejected")
    b.press("u")
    assert b.value(decision).split(",")[:3] == ["", "accept", ""]
    b.press("r")
    assert b.value("document.querySelectorAll('#tiles td.decision.reject').length") == 1
    assert b.value("document.querySelectorAll('.map a[data-state=reject]').length") == 1


def notes_are_typed_without_deciding():
    b.press("n")
    b.call("Input.insertText", text='a "ja", said k')
    b.press(["Enter"])
    assert b.value(decision).split(",")[:3] == ["", "accept", "reject"]
    b.press("k")
    assert b.value(current) == b.value("document.querySelectorAll('.card')[1].dataset.name"), "keys are keys again behind a note"


def blinking_shows_both_pictures():
    b.press("b")
    assert b.value(viewer) is True
    seen = set()
    for _ in range(40):
        seen.add(b.value("document.getElementById('upper').style.opacity"))
        if len(seen) == 2:
            break
        time.sleep(0.1)
    assert seen == {"0", "1"}, seen
    first = b.value("document.getElementById('lower').src")
    b.press("j")
    assert b.value("document.getElementById('lower').src") != first
    b.shot("viewer")
    b.press(["Escape"])
    assert b.value(viewer) is False


def the_download_holds_the_decisions():
    b.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=scratch, eventsEnabled=True)
    path = os.path.join(scratch, "review.csv")
    b.value("document.getElementById('download').click()")
    for _ in range(200):
        if os.path.exists(path) and os.path.getsize(path):
            break
        time.sleep(0.05)
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    assert [r["decision"] for r in rows] == ["accept", "reject"], rows
    assert rows[1]["note"] == 'a "ja", said k'
    assert all(len(r["transform"].split()) == 6 and r["time"].endswith("Z") for r in rows)
    assert rows[0]["tile"] == b.value("document.querySelectorAll('.card')[1].dataset.name")


def decisions_survive_a_reload():
    b.open(url)
    assert b.value(decision).split(",")[:3] == ["", "accept", "reject"]
    assert b.value("document.querySelectorAll('.card')[2].querySelector('.note').value") == 'a "ja", said k'


def the_table_sorts():
    order = "Array.from(document.querySelectorAll('#tiles tbody tr')).map(r => +r.dataset.number).join()"
    ascending = b.value(order)
    b.value("document.querySelector('#tiles th button').click()")
    b.value("document.querySelector('#tiles th button').click()")
    assert b.value(order) == ",".join(reversed(ascending.split(",")))


def it_is_readable_in_light_and_dark():
    for scheme in ("light", "dark"):
        b.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        b.value("window.scrollTo(0, 0)")
        b.shot(scheme)
        # contrast of text on its background (WCAG 2): 4.5 at least
        worst = b.value("""(() => {
            const lum = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
                               return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
            const ground = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|color/.test(c)) return c; } return 'rgb(255,255,255)'; };
            const ratio = e => { const a = lum(getComputedStyle(e).color), b = lum(ground(e)); return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05); };
            return Math.min(...Array.from(document.querySelectorAll('h1, .soft, .badge, td, dt, dd, button, kbd, .decision')).filter(e => e.textContent.trim()).map(ratio));
        })()""")
        assert worst >= 4.5, f"{scheme}: contrast {worst:.2f}"
        b.value("document.querySelectorAll('.card')[1].scrollIntoView()")
        b.shot(scheme + "-tile")


def nothing_went_wrong_meanwhile():
    bad = [m["params"] for m in b.events if m.get("method") in problems]
    assert not bad, bad


tests = [opens_without_errors_or_requests, keys_walk_from_tile_to_tile, keys_decide_and_undo, notes_are_typed_without_deciding,
         blinking_shows_both_pictures, the_download_holds_the_decisions, decisions_survive_a_reload, the_table_sorts,
         it_is_readable_in_light_and_dark, nothing_went_wrong_meanwhile]
failed = 0
for i, t in enumerate(tests):
    try:
        t()
        print(f"ok {i + 1} - {t.__name__}", flush=True)
    except Exception as e:
        failed += 1
        print(f"# {type(e).__name__}: {e}\nnot ok {i + 1} - {t.__name__}", flush=True)
print(f"1..{len(tests)}")
b.close()
sys.exit(1 if failed else 0)
