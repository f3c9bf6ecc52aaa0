"""The server of the 2.x API: a model is made for every request; events that are not for training are dropped."""

import traceback
from functools import wraps

from flask import Flask, jsonify, request

TRAIN_EVENTS = ("ANNOTATION_CREATED", "ANNOTATION_UPDATED", "ANNOTATION_DELETED", "START_TRAINING")

server = Flask(__name__)
model_class = None


def init_app(model_class, basic_auth_user=None, basic_auth_pass=None):
    globals()["model_class"] = model_class
    return server


def with_traceback(route):
    @wraps(route)
    def wrapped():
        try:
            return route()
        except Exception as error:
            return jsonify({"detail": str(error), "result": {"traceback": traceback.format_exc()}}), 500

    return wrapped


@server.route("/predict", methods=["POST"])
@with_traceback
def predict():
    data = request.json
    project = str(data.get("project")).split(".", 1)[0]
    params = data.get("params", {})
    context = params.pop("context", {})
    model = model_class(project_id=project, label_config=data.get("label_config"))
    return jsonify({"results": model.predict(data.get("tasks"), context=context, **params) or []})


@server.route("/setup", methods=["POST"])
@with_traceback
def setup():
    data = request.json
    model = model_class(project_id=data["project"].split(".", 1)[0], label_config=data.get("schema"))
    if data.get("extra_params"):
        model.set_extra_params(data["extra_params"])
    return jsonify({"model_version": model.get("model_version")})


@server.route("/webhook", methods=["POST"])
def webhook():
    data = request.json
    event = data.pop("action")
    if event not in TRAIN_EVENTS:
        return jsonify({"status": "Unknown event"}), 200
    model = model_class(str(data["project"]["id"]), label_config=data["project"]["label_config"])
    return jsonify({"result": model.fit(event, data), "status": "ok"}), 201


@server.route("/health", methods=["GET"])
@server.route("/", methods=["GET"])
def health():
    return jsonify({"status": "UP", "model_class": str(model_class.__name__)})
