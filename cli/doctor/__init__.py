"""`yolo-mlsam doctor`: every known trap between Label Studio and this service, named with its remedy.

service_checks   settings, database, disk, queue, worker
server_checks    Label Studio: reached, token, clock, SSRF switches
project_checks   labeling config, ML backend rows, webhooks, version strings
schedule_check   the regular comparison with Label Studio
image_checks     the images of the first tasks, read from here
"""
