"""Checks for every known misconfiguration between Label Studio and this service, with remedies.

diagnosis.py        Diagnosis: the result of one check, with its repair where there is one
inspection.py       Inspection: what the checks examine
checking.py         which checks there are, and how they are run
service_checks.py   settings, database, disk, queue, worker
server_checks.py    Label Studio: reached, token, clock, SSRF switches
project_checks.py   labeling config, ML backend rows, webhooks, version strings
schedule_check.py   the regular reconciliation with Label Studio
image_checks.py     images of the first tasks

`yolo-mlsam doctor` adds what needs the rules of training (`cli/doctor`); the console shows what is wrong.
"""
