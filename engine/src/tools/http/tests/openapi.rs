//! A whole tool from an OpenAPI document, and files that are none.

use super::*;

const DOCUMENT: &str = r##"
openapi: 3.0.3
info: {title: Pets, version: "1"}
servers: [{url: /v1}]
paths:
  /pets/{petId}:
    parameters:
      - {name: petId, in: path, required: true, schema: {type: integer}}
    get:
      operationId: getPet
      summary: One pet
      parameters:
        - {$ref: "#/components/parameters/Fields"}
        - {name: session, in: cookie, schema: {type: string}}
  /pets:
    post:
      operationId: pets.create-one
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Pet"}}}
    put:
      requestBody:
        content: {application/json: {schema: {type: array, items: {$ref: "#/components/schemas/Pet"}}}}
components:
  parameters:
    Fields: {name: fields, in: query, description: Which fields, schema: {type: array, items: {type: string}}}
  schemas:
    Pet:
      type: object
      required: [name]
      properties:
        name: {type: string, minLength: 1}
        class: {type: string, nullable: true}
        parent: {$ref: "#/components/schemas/Pet"}
"##;

fn folder(document: &str, tool: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("api.yaml"), tool).unwrap();
    // Not a tool file, but for its name.
    std::fs::write(folder.path().join("pets.openapi"), document).unwrap();
    folder
}

#[tokio::test]
async fn operations_are_ways_to_call_it() {
    let server = Server::start("127.0.0.1", |request| ok_json(&json!(request).to_string())).await;
    let folder = folder(DOCUMENT, &file(&server, "openapi: pets.openapi\n"));
    let tools = Registry::from_folder(folder.path(), &options(loopback())).unwrap();
    let info = tools.get("api").unwrap();
    let names: Vec<_> = info.callables.iter().map(|callable| callable.name.as_str()).collect();
    assert_eq!(names, ["get_pet", "pets_create_one", "put_pets"]);
    assert_eq!(info.callable("get_pet").unwrap().description, "One pet");

    let sent = call(&tools, "get_pet", json!({"pet_id": 3, "fields": ["a", "b"]})).await.unwrap();
    assert!(sent.as_str().unwrap().starts_with("GET /v1/pets/3?fields=a&fields=b HTTP"), "{sent}");
    let pet = json!({"name": "Rex", "class_": null, "parent": {"name": "Max", "parent": {"name": "Old"}}});
    let sent = call(&tools, "pets_create_one", pet).await.unwrap();
    let body = sent.as_str().unwrap().split("\r\n\r\n").nth(1).unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(
        body,
        json!({"name": "Rex", "class": null, "parent": {"name": "Max", "parent": {"name": "Old"}}})
    );
    let sent = call(&tools, "put_pets", json!({"body": [{"name": "A"}]})).await.unwrap();
    assert!(sent.as_str().unwrap().ends_with("\r\n\r\n[{\"name\":\"A\"}]"), "{sent}");
    let before = server.seen().len();
    for (callable, arguments) in [
        ("get_pet", json!({"pet_id": "x"})),
        ("get_pet", json!({"pet_id": 3, "session": "s"})),
        ("pets_create_one", json!({"class_": "dog"})),
        ("pets_create_one", json!({"name": "A", "parent": {"name": ""}})),
        ("put_pets", json!({"body": [{}]})),
    ] {
        let error = call(&tools, callable, arguments.clone()).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{callable} {arguments}");
    }
    assert_eq!(server.seen().len(), before);
}

fn refused(document: &str, rest: &str) -> String {
    let tool = format!("name: api\ntype: http\nopenapi: pets.openapi\n{rest}");
    let folder = folder(document, &tool);
    let error = Registry::from_folder(folder.path(), &options(loopback())).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    error.chain()
}

#[test]
fn documents_that_cannot_be_tools() {
    let base = "base_url: https://api.test\n";
    for (document, rest, expected) in [
        ("swagger: '2.0'", base, "is not an OpenAPI 3 document"),
        (DOCUMENT, "", "give base_url"),
        (DOCUMENT, "base_url: https://api.test\noperations: [getPat]\n", "did you mean get_pet?"),
        ("openapi: 3.1.0\npaths: {}", base, "there is nothing to call"),
        (
            "openapi: 3.1.0\npaths: {'/x/{id}': {get: {}}}",
            base,
            "its path names {id}, which is no parameter",
        ),
        (
            "openapi: 3.1.0\npaths: {/x: {get: {parameters: [{$ref: 'http://169.254.169.254/x'}]}}}",
            base,
            "is not in the document",
        ),
        (
            "openapi: 3.1.0\na: {$ref: '#/a'}\npaths: {/x: {get: {parameters: [{$ref: '#/a'}]}}}",
            base,
            "its references go round",
        ),
        ("openapi: [", base, "pets.openapi:"),
    ] {
        let message = refused(document, rest);
        assert!(
            message.contains(expected),
            "{document}\n  said: {message}\n  expected: {expected}"
        );
    }
}

#[test]
fn files_that_cannot_work_are_refused() {
    let refused = |text: &str| {
        let error = registry_with(text, loopback()).map(|_| ()).expect_err(text);
        assert_eq!(error.code(), Code::InvalidArgument);
        error.chain()
    };
    let head = "name: api\ntype: http\nbase_url: https://api.test/v1\n";
    for (rest, expected) in [
        ("endpoints: {get: {pth: /x}}", "unknown key \"pth\"; did you mean path?"),
        ("endpoint: {}", "did you mean endpoints?"),
        ("endpoints: {get: {}}", "key \"path\" is missing"),
        ("endpoints: {get: {path: x}}", "a path begins with /"),
        ("endpoints: {get: {path: /x/{id}}}", "api.yaml:4:"),
        ("endpoints: {get: {path: '/x/{id}'}}", "path names {id}, which is not in params"),
        ("endpoints: {get: {path: /x, method: GTE}}", "did you mean GET?"),
        ("endpoints: {get: {path: /x, params: {a: {in: boddy}}}}", "is not a place"),
        ("endpoints: {get: {path: /x, params: {a: {type: strin}}}}", "did you mean string?"),
        ("endpoints: {get: {path: /x, params: {a: {default: 1}}}}", "does not fit a"),
        ("endpoints: {list: {path: /x}}", "is not an endpoint's name"),
        ("endpoints: {get: {path: /x, answer: txt}}", "did you mean text?"),
        ("endpoints: {}", "there is nothing to call"),
        ("egress: [{host: 'a b'}]\nendpoints: {get: {path: /x}}", "is not a host"),
        (
            "egress: [{host: a, addresses: [10]}]\nendpoints: {get: {path: /x}}",
            "a range of addresses",
        ),
        ("egress: [{host: a, paths: [x]}]\nendpoints: {get: {path: /x}}", "a path begins with /"),
        ("auth: {}\nendpoints: {get: {path: /x}}", "either bearer or basic"),
        ("headers: {a: {secret: lower}}\nendpoints: {get: {path: /x}}", "is not a secret's name"),
        ("headers: {a: '${KEY}'}\nendpoints: {get: {path: /x}}", "{secret: NAME}"),
        ("headers: {'a b': x}\nendpoints: {get: {path: /x}}", "is no name here"),
        ("retries: 11\nendpoints: {get: {path: /x}}", "a number from 0 to 10"),
    ] {
        let message = refused(&format!("{head}{rest}"));
        assert!(message.contains(expected), "{rest}\n  said: {message}\n  expected: {expected}");
    }
    for url in
        ["api.test", "ftp://api.test", "https://u:p@api.test", "https://api.test?x=1", "https://"]
    {
        let text =
            format!("name: api\ntype: http\nbase_url: \"{url}\"\nendpoints: {{get: {{path: /x}}}}");
        assert!(refused(&text).contains("base_url is"), "{url}");
    }
}
