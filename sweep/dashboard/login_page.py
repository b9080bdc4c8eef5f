"""The pages that ask for the password and that end a visit: plain HTML, without JavaScript."""

from __future__ import annotations

import base64
import hashlib
from html import escape

STYLE = """
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #f3f5f7;
  color: #1b1f24; font: 1rem/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { box-sizing: border-box; width: min(24rem, calc(100vw - 2rem)); padding: 2rem;
  background: #fff; border-radius: 0.5rem; box-shadow: 0 1px 6px rgb(0 0 0 / 0.18); }
h1 { margin: 0 0 0.25rem; font-size: 1.4rem; }
p { margin: 0 0 1.25rem; color: #48515b; }
p.after { margin: 1.25rem 0 0; }
a { color: #0b5cad; }
p[role="alert"] { color: #b3261e; font-weight: 600; }
label { display: block; margin-bottom: 0.25rem; font-weight: 600; }
input, button { box-sizing: border-box; width: 100%; padding: 0.6rem 0.75rem; font: inherit;
  border-radius: 0.3rem; }
input { border: 1px solid #6b7682; }
button { margin-top: 1rem; border: 0; background: #0b5cad; color: #fff; font-weight: 600;
  cursor: pointer; }
input:focus-visible, button:focus-visible, a:focus-visible { outline: 3px solid #ffb000;
  outline-offset: 2px; }
"""
_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src data:; style-src 'sha256-{_DIGEST}'; form-action 'self'"


def write_login_page(goal: str, complaint: str = "") -> str:
    """Write the page that asks for the password.

    Args:
        goal: The path that the browser wanted, where it goes once the password is right.
    """
    alert = f'<p role="alert" id="complaint">{escape(complaint)}</p>' if complaint else ""
    described = ' aria-describedby="complaint" aria-invalid="true"' if complaint else ""
    content = f"""<p>Hyperparameter sweeps of this group.</p>
{alert}
<form method="post" action="/login">
<input type="hidden" name="goal" value="{escape(goal)}">
<input type="text" name="username" value="sweep" autocomplete="username" hidden>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
 autofocus{described}>
<button type="submit">Log in</button>
</form>"""
    return _write_page("Log in", content)


def write_logout_page() -> str:
    """Write the page that ends a visit."""
    content = """<p>This browser is logged in.</p>
<form method="post" action="/logout">
<button type="submit">Log out</button>
</form>
<p class="after"><a href="/dashboard">Back to the sweeps</a></p>"""
    return _write_page("Log out", content)


def _write_page(title: str, content: str) -> str:
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}: sweep dashboard</title>
<link rel="icon" href="data:,">
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>sweep dashboard</h1>
{content}
</main>
</body>
</html>
"""
