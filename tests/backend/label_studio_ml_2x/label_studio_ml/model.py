"""The base class of the 2.x API: state in a cache by project, `setup()` when it is made."""

CACHE = {}


class LabelStudioMLBase:
    def __init__(self, project_id=None, label_config=None):
        self.project_id = project_id or ""
        if label_config is not None:
            self.set("label_config", label_config)
        if not self.get("model_version"):
            self.set("model_version", "0.0.1")
        self.setup()

    def setup(self):
        pass

    def get(self, key):
        return CACHE.get((self.project_id, key))

    def set(self, key, value):
        if not isinstance(value, str):
            raise ValueError("a value is a text")
        CACHE[self.project_id, key] = value

    def set_extra_params(self, extra_params):
        self.set("extra_params", extra_params)

    @property
    def label_config(self):
        return self.get("label_config")

    def predict(self, tasks, context=None, **kwargs):
        raise NotImplementedError

    def fit(self, event, data, **kwargs):
        raise NotImplementedError
