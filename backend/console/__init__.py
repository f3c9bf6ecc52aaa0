"""The console: server-rendered pages at `/console` for the people who run an installation.

rendering.py   Renderer: templates to answers, with their headers
assets.py      Assets: style sheet and script, served under names that hold their hash
navigation.py  the sections of the navigation
charts.py      line charts as SVG
routes/        one module per page; each has a `router`, which `ROUTERS` lists
templates/     one template per page; each extends `base.html`

A page is a route of a `router` with the prefix `/console` that reads its facts in a thread and returns
`render(request, "NAME.html", section="runs", ...)`. Its template fills the blocks `title` and `content`. Pages work
without a script: what changes something is a form with `{{ csrf_field() }}` that answers with a redirect (303).
The content security policy allows neither inline scripts nor `style` attributes; colours and sizes are classes.
"""
