"""The sign-in page, whole: Gradio is not yet there when it is shown."""

_SCRIPT = """
const form = document.querySelector("form"), told = document.querySelector("[role=alert]");
const theme = localStorage.getItem("citewise-theme");
document.body.classList.toggle("dark", theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
form.addEventListener("submit", async (event) => {
  event.preventDefault();
  told.textContent = "";
  try {
    const reply = await fetch("login", { method: "POST", body: new FormData(form) });
    if (reply.ok) return location.reload();
    told.textContent = reply.status === 400 ? "User or password is wrong." : `The server says ${reply.status}.`;
  } catch { told.textContent = "The server cannot be reached."; }
  form.password.value = ""; form.password.focus();
});
"""


def sign_in_html(style: str) -> str:
    """The page that asks for user and password; `style` is the page's style sheet."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Citewise: sign in</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>'
        '<body><main class="sign-in"><h1>Citewise</h1><form method="post">'
        '<label>User<input name="username" autocomplete="username" autocapitalize="none" required autofocus></label>'
        '<label>Password<input name="password" type="password" autocomplete="current-password" required></label>'
        '<p class="problem" role="alert"></p><button type="submit" class="main">Sign in</button></form></main>'
        f"<script>{_SCRIPT}</script></body></html>"
    )
