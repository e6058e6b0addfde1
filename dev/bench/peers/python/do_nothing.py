"""The least a function can be: what the runtime itself costs."""


def handler(event, context):
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": "{}"}
