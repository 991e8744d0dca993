use super::*;
use crate::openapi;
use crate::yaml;
use serde_json::json;
use std::cell::Cell;

/// The findings of a document in YAML: kind, severity, path.
fn check(document: &str, seen: &Value, expected: &[&str]) {
    let documents = yaml::documents(document).unwrap();
    let description = openapi::read(&documents[0], None);
    assert_eq!(description.problems.len(), 0, "{:?}", description.problems);
    let gone = [Gone {
        method: "GET".to_owned(),
        route: "/api/gone/{number}".to_owned(),
        last_seen: "then".to_owned(),
    }];
    let seen = Seen { document: seen, gone: &gone };
    let found: Vec<String> = compare(&documents[0], &description.operations, seen, &|| false)
        .iter()
        .map(|Finding { kind, problem, .. }| format!("{} {} {}", problem.severity, kind.name(), problem.path))
        .collect();
    assert_eq!(found, expected);
}

/// What was seen: responses 200 of one operation with this schema.
fn answers(path: &str, schema: Value) -> Value {
    let response = json!({"content": {"application/json": {"schema": schema}}});
    json!({"paths": {path: {"get": {"responses": {"200": response}}}}})
}

#[test]
fn routes_are_found_whatever_their_parameters_are_called() {
    let document = "
openapi: 3.0.3
servers: [{url: https://example.com/api}]
paths:
  /users/{userId}: {get: {responses: {}}}
  /users/me: {get: {responses: {}}}
  /old: {get: {responses: {}}, delete: {responses: {}}}
  /gone/{id}: {get: {responses: {}}, put: {responses: {}}}
";
    let operation = json!({"responses": {}});
    let seen = json!({"paths": {
        "/api/users/{number}": {"get": operation, "post": operation},
        "/api/users/me": {"get": operation},
        "/api/users/bob": {"get": operation},
        "/other": {"get": operation},
    }});
    let expected = [
        "error undocumented_route POST /api/users/{number}",
        "error undocumented_route GET /other",
        "warning never_called GET /api/old",
        "warning never_called DELETE /api/old",
        "warning vanished GET /api/gone/{id}",
        "warning never_called PUT /api/gone/{id}",
    ];
    check(document, &seen, &expected);
}

#[test]
fn types_formats_and_presence_contradict() {
    let document = "
openapi: 3.1.0
paths:
  /a:
    get:
      responses:
        200: {$ref: '#/components/responses/A'}
components:
  responses:
    A: {content: {application/json; charset=utf-8: {schema: {$ref: '#/components/schemas/A'}}}}
  schemas:
    A:
      type: object
      required: [id, at, gone, note, secret]
      properties:
        id: {type: string}
        at: {type: string, format: date-time}
        note: {type: [string, 'null']}
        price: {type: number}
        day: {type: string, format: date}
        secret: {type: string, writeOnly: true}
        list: {type: array, items: {type: string, format: uuid}}
        map: {type: object, additionalProperties: {type: integer}}
        closed: {type: object, additionalProperties: false, properties: {a: {}}}
";
    let seen = answers(
        "/a",
        json!({
            "type": "object",
            "required": ["id", "at", "price"],
            "properties": {
                "id": {"type": "integer"},
                "at": {"type": "string", "format": "date"},
                "note": {"type": ["string", "null"]},
                "price": {"type": "integer"},
                "day": {"type": "string", "x-gatelens-formats": ["plain", "date"]},
                "list": {"type": "array", "items": {"type": "string", "format": "email"}},
                "map": {"type": "object", "additionalProperties": {"type": "string"}},
                "closed": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
                "more": {"type": "string"},
            },
        }),
    );
    let expected = [
        "error format GET /a response 200 /at",
        "error undocumented_field GET /a response 200 /closed/b",
        "error format GET /a response 200 /day",
        "error type GET /a response 200 /id",
        "error format GET /a response 200 /list/[]",
        "error type GET /a response 200 /map/{*}",
        "warning undocumented_field GET /a response 200 /more",
        "error presence GET /a response 200 /gone",
        "error presence GET /a response 200 /note",
    ];
    check(document, &seen, &expected);
}

#[test]
fn parts_and_alternatives_are_read() {
    let document = "
openapi: 3.0.3
paths:
  /a:
    get:
      responses:
        2XX:
          content:
            application/problem+json:
              schema:
                allOf:
                - {type: object, properties: {id: {type: integer, nullable: true}}}
                - oneOf:
                  - {type: object, required: [cat], properties: {cat: {type: string}, name: {type: string}}}
                  - {type: object, required: [dog], properties: {dog: {type: string}, name: {type: string}}}
                - properties: {self: {$ref: '#/paths/~1a/get/responses/2XX/content/application~1problem+json/schema'}}
";
    let fits = json!({"type": "object", "required": ["id"], "properties": {
        "id": {"type": ["integer", "null"]}, "cat": {"type": "string"}, "dog": {"type": "string"},
        "self": {"type": "object", "properties": {"id": {"type": "integer"}}},
    }});
    check(document, &answers("/a", fits), &[]);
    let differs = json!({"type": "object", "properties": {
        "id": {"type": "boolean"}, "name": {"type": "integer"}, "self": {"properties": {"id": {"type": "string"}}},
    }});
    let expected = [
        "error type GET /a response 200 /id",
        "error type GET /a response 200 /name",
        "error type GET /a response 200 /self/id",
    ];
    check(document, &answers("/a", differs), &expected);
}

#[test]
fn bodies_of_requests_and_statuses_are_compared() {
    let three = "
openapi: 3.0.3
paths:
  /a:
    post:
      requestBody: {content: {application/json: {schema: {type: object, properties: {a: {type: string}}}}}}
      responses: {201: {description: made}}
";
    let two = "
swagger: '2.0'
paths:
  /a:
    post:
      parameters: [{in: body, name: body, schema: {type: object, properties: {a: {type: string}}}}]
      responses: {201: {description: made}}
";
    let body = json!({"type": "object", "properties": {"a": {"type": "integer"}}});
    let operation = json!({
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"201": {}, "422": {}},
    });
    let seen = json!({"paths": {"/a": {"post": operation}}});
    for document in [three, two] {
        let expected = ["error type POST /a request /a", "warning undocumented_status POST /a response 422"];
        check(document, &seen, &expected);
    }
}

#[test]
fn odd_documents_end() {
    let document = "
openapi: 3.0.3
paths:
  /a: {get: {responses: {200: {content: {application/json: {schema: {$ref: '#/components/schemas/A'}}}}}}}
components:
  schemas:
    A: {oneOf: [{$ref: '#/components/schemas/A'}, {$ref: '#/components/schemas/B'}], items: {$ref: '#/components/schemas/A'}}
    B: {allOf: [{$ref: '#/components/schemas/A'}, {$ref: '#/components/schemas/B'}, {$ref: '#/nothing'}]}
";
    let deep = (0..40).fold(json!({"type": "string"}), |inner, _| json!({"type": "array", "items": inner}));
    check(document, &answers("/a", deep), &[]);
}

#[test]
fn documents_that_would_take_long_end_or_are_given_up() {
    // Alternatives with fields of their own, each of which all the others lack.
    let alternatives: String = (0..100)
        .map(|n| format!("{{type: object, required: [a{n}], properties: {{a{n}: {{type: string}}}}}},"))
        .collect();
    let document = format!(
        "
openapi: 3.1.0
paths:
  /a: {{get: {{responses: {{200: {{content: {{application/json: {{schema: {{oneOf: [{alternatives}]}}}}}}}}}}}}}}
"
    );
    let seen: serde_json::Map<String, Value> =
        (0..50).map(|n| (format!("b{n}"), json!({"type": "string"}))).collect();
    let seen = answers("/a", json!({"type": "object", "properties": seen}));
    let expected: Vec<String> = {
        let mut names: Vec<_> = (0..50).map(|n| format!("b{n}")).collect();
        names.sort();
        names.iter().map(|name| format!("warning undocumented_field GET /a response 200 /{name}")).collect()
    };
    check(&document, &seen, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    let documents = yaml::documents(&document).unwrap();
    let description = openapi::read(&documents[0], None);
    let seen = Seen { document: &seen, gone: &[] };
    assert_eq!(compare(&documents[0], &description.operations, seen, &|| true).len(), 0);
    // Within the first alternative: the others are not looked at.
    let asked = Cell::new(0);
    let given_up = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    compare(&documents[0], &description.operations, seen, &given_up);
    assert!(asked.get() < 10, "{}", asked.get());
}

#[test]
fn long_texts_are_cut() {
    let name = "x".repeat(5_000);
    let document = format!(
        "{{openapi: 3.1.0, paths: {{/a: {{get: {{responses: {{200: {{content: {{application/json: {{schema: {{type: {name}}}}}}}}}}}}}}}}}}}"
    );
    let documents = yaml::documents(&document).unwrap();
    let description = openapi::read(&documents[0], None);
    let seen = answers("/a", json!({"type": "string"}));
    let seen = Seen { document: &seen, gone: &[] };
    let found = compare(&documents[0], &description.operations, seen, &|| false);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].problem.message.chars().count(), MAX_TEXT + 1);
}
