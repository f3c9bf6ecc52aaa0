"""The console: server-rendered pages at `/console` for the people who run an installation.

rendering.py   Renderer: templates to answers, with their headers
assets.py      Assets: style sheet and script, served under names that hold their hash
navigation.py  the sections of the navigation
charts.py      line charts as SVG
chosen_project.py  the project that a page shows
forms.py       fields of a form, after its token was checked
error_pages.py errors as pages
routes/        one module per page; each has a `router`, which `ROUTERS` lists
templates/     one template per page; each extends `base.html`

A page is a route of a `router` with the prefix `/console` that reads its facts in a thread and returns
`render(request, "NAME.html", section="runs", ...)`. Log-ins are checked before (`backend.auth`), roles by the
dependencies of `backend.roles`. A template fills the blocks `title` and `content`, and knows `person`, the `Caller`.
Pages work without a script: what changes something is a form with `{{ csrf_field }}` that is read by `read_form` and
answered by a redirect (303). The content security policy allows neither inline scripts nor `style` attributes; colours
and sizes are classes.
"""
