"""`yolo-mlsam doctor`: checks for every known misconfiguration between Label Studio and this service, with remedies.

service_checks   settings, database, disk, queue, worker
server_checks    Label Studio: reached, token, clock, SSRF switches
project_checks   labeling config, ML backend rows, webhooks, version strings
annotation_checks  labels that are ignored, annotations that are refused
schedule_check   the regular reconciliation with Label Studio
image_checks     images of the first tasks
"""
