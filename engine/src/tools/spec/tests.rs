use std::path::Path;

use super::*;
use crate::error::Code;

/// What a file of this text is, or the message without the folder.
fn load(text: impl AsRef<[u8]>) -> Result<CliSpec, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tool.yaml");
    std::fs::write(&path, text).unwrap();
    let loaded = load_file(&path).map(|spec| match spec {
        ToolSpec::Cli(spec) => spec,
        #[cfg(any(feature = "http", feature = "mcp"))]
        other => panic!("{other:?}"),
    });
    loaded.map_err(|error| {
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        error.chain().replace(&format!("{}/", folder.path().display()), "")
    })
}

/// That each text is refused with a message that contains the other.
fn refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let message = load(text).map(|spec| format!("accepted: {spec:?}")).unwrap_or_else(|e| e);
        assert!(message.contains(expected), "{text}\n  said: {message}\n  expected: {expected}");
    }
}

fn parameters(spec: &CliSpec, callable: &str) -> Vec<(String, bool, Option<String>)> {
    let callable = spec.info.callable(callable).unwrap();
    let shown = callable.parameters.iter().map(|parameter| {
        let default = parameter.default.as_ref().map(ToString::to_string);
        (parameter.name.clone(), parameter.required, default)
    });
    shown.collect()
}

/// In the shape that py-code-mode's users have.
const FETCH: &str = r#"
name: fetch
description: Get a page
command: wget
timeout: 30
tags: [http, web]

schema:
  options:
    quiet:
      type: boolean
      short: q
      description: Say nothing
    header:
      type: array
      description: Headers
    dry-run:
      type: bool
    tries:
      type: integer
      short: t
      default: 3
    terse:
      type: boolean
      flag: "+terse"
    T:
      type: int
    sV:
      short: sV
  positional:
    - name: url
      type: str
      required: true
      description: Where
    - name: kind
      type: string

recipes:
  get:
    description: Quietly
    preset:
      quiet: true
      dry-run: false
    params:
      url: {}
      kind:
        default: A
        description: What kind
      tries: {type: int, choices: [1, 2]}
  all:
    preset: {quiet: true}
"#;

#[test]
fn the_format_of_py_code_mode() {
    let spec = load(FETCH).unwrap();
    assert_eq!(spec.info.name.as_str(), "fetch");
    assert_eq!(spec.info.tags, ["http", "web"]);
    assert_eq!(spec.program, Program::Named("wget".into()));
    assert_eq!(spec.timeout, Duration::from_secs(30));
    let names: Vec<_> = spec.info.callables.iter().map(|callable| &callable.name).collect();
    assert_eq!(names, ["", "get", "all"]);
    let flags = spec.slots.iter().map(|slot| match &slot.place {
        Place::Option { flag, form } => format!("{flag} {form:?}"),
        Place::Positional | Place::Stdin => slot.name.clone(),
    });
    assert_eq!(
        flags.collect::<Vec<_>>(),
        [
            "-q Attached",
            "--header Equals",
            "--dry-run Equals",
            "-t Attached",
            "+terse Separate { allow_dash: false }",
            "-T Attached",
            "-sV Separate { allow_dash: false }",
            "url",
            "kind"
        ]
    );
    assert_eq!(
        parameters(&spec, "get"),
        [
            ("url".into(), true, None),
            ("kind".into(), false, Some(r#""A""#.into())),
            ("tries".into(), false, Some("3".into())),
        ]
    );
    let get = spec.info.callable("get").unwrap();
    assert_eq!(get.parameters[0].description, "Where");
    assert_eq!(get.parameters[1].description, "What kind");
    assert_eq!(get.parameters[2].schema.as_str(), r#"{"type":"integer","enum":[1,2]}"#);
    // What is preset is settled; without `params` the rest is open.
    let all: Vec<_> = parameters(&spec, "all").into_iter().map(|(name, ..)| name).collect();
    assert_eq!(all, ["header", "dry_run", "tries", "terse", "T", "sV", "url", "kind"]);
}

#[test]
fn a_name_is_enough() {
    let spec = load("name: my-date").unwrap();
    assert_eq!(spec.info.name.as_str(), "my_date");
    assert_eq!(spec.program, Program::Named("my-date".into()));
    assert_eq!(spec.timeout, DEFAULT_TIMEOUT);
    assert_eq!(spec.max_output, DEFAULT_MAX_OUTPUT);
    assert_eq!(parameters(&spec, ""), []);
}

#[test]
fn a_recipe_with_the_tools_own_name_is_the_tool() {
    let spec = load(
        "name: x\nschema: {options: {a: {}, b: {}}}\nrecipes: {x: {preset: {a: p}, params: {b: }}}",
    );
    assert_eq!(parameters(&spec.unwrap(), ""), [("b".into(), false, None)]);
}

#[test]
fn what_is_preset_and_in_params_is_a_default() {
    let spec = load(
        "name: x\nschema: {options: {a: {default: z}}}\nrecipes: {r: {preset: {a: p}, params: {a: {default: w}}}}",
    );
    assert_eq!(parameters(&spec.unwrap(), "r"), [("a".into(), false, Some(r#""p""#.into()))]);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    refused(&[
        (
            "name: x\ndescripton: y",
            "tool.yaml:2:1: unknown key \"descripton\"; did you mean description?",
        ),
        (
            "name: x\nschema:\n  options:\n    a:\n      tpye: string",
            "tool.yaml:5:7: unknown key \"tpye\"; did you mean type?",
        ),
        ("name: x\nrecipes:\n  a: {presets: {}}", "unknown key \"presets\"; did you mean preset?"),
        (
            "name: x\nrecipes: {a: {params: {b: {zzzzzz: 1}}}}",
            "unknown key \"zzzzzz\"; known here: type, ",
        ),
        ("name: x\nenv: [a]", "tool.yaml:2:6: not a tool file: "),
    ]);
}

#[test]
fn what_yaml_allows_and_we_do_not() {
    refused(&[
        ("", "tool.yaml"),
        ("- a", "tool.yaml:1:1"),
        ("description: x", "key \"name\" is missing"),
        ("name: x\nname: y", "tool.yaml:2:1: key \"name\" is there twice"),
        ("name: x\nenv: {A: b, A: c}", "key \"A\" is there twice"),
        ("name: x\nenv: &a {A: b}\nschema:\n  <<: *a", "merge keys (<<) are not supported"),
        ("name: !!python/object:os.system x", "tool.yaml:1:"),
        ("name: x\n---\nname: y", "tool.yaml:"),
        ("name: x\n\ttags: [a]", "tool.yaml:1:7: not a tool file: "),
        ("name: \"x", "tool.yaml:1:"),
        (&format!("name: x\ntags: {}", "[".repeat(200)), "tool.yaml:2:"),
        (&format!("name: {}", "x".repeat(70_000)), "tool.yaml: larger than 64 KiB"),
    ]);
    let message = load(b"name: x\ndescription: \xff\n").unwrap_err();
    assert!(message.starts_with("tool.yaml:2: not UTF-8"), "{message}");
}

#[test]
fn aliases_that_explode_are_refused_at_once() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..10 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    let started = std::time::Instant::now();
    assert!(load(&bomb).is_err());
    // Written out, it would have ten thousand million nodes.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    // Also behind a valid beginning, and where any value may stand.
    for text in [bomb.clone(), format!("name: x\n{bomb}"), format!("{bomb}tags: *a9\n")] {
        let message = load(&text).unwrap_err();
        assert!(message.contains("tool.yaml:"), "{message}");
    }
    let inside = bomb.replace("a0:", "name: x\nrecipes: {r: {preset: {a0:").replace('\n', ", ");
    assert!(load(inside).is_err());
    // An honest one is expanded.
    let spec = load("name: x\ntags: &t [a, b]\nargs: *t").unwrap();
    assert_eq!(spec.fixed, ["a", "b"]);
}

#[test]
fn a_type_that_there_is_not() {
    refused(&[(
        "name: web\ntype: clu",
        "tool.yaml:2:7: \"clu\" is not a type of tool; did you mean cli?",
    )]);
    #[cfg(not(feature = "mcp"))]
    refused(&[("name: web\ntype: mcp\ncommand: x", "built without its cargo feature mcp")]);
    #[cfg(not(feature = "http"))]
    refused(&[("name: web\ntype: http\nbase_url: x", "built without its cargo feature http")]);
    assert!(load("name: web\ntype: cli").is_ok());
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let option = |spec: &str| format!("name: x\nschema: {{options: {{a: {{{spec}}}}}}}");
    refused(&[
        ("name: ../x", "tool.yaml:1:7: \"../x\" is not a tool's name"),
        ("name: list", "is not a tool's name"),
        ("name: x\ncommand: \"\"", "tool.yaml:2:10: command names no program"),
        ("name: x\ncommand: sh -c x", "write command: sh and the rest as a list under args"),
        ("name: x\ncommand: [sh, -c]", "tool.yaml:2:10: "),
        ("name: x\ntimeout: 0", "tool.yaml:2:10: timeout is 0"),
        (
            "name: x\ntimeout: .nan",
            "tool.yaml:2:10: not a tool file: value `.nan` is not a finite number",
        ),
        ("name: x\ntimeout: soon", "tool.yaml:2:10: "),
        ("name: x\nmax_output: 0", "max_output is 0"),
        ("name: x\nmax_output: -1", "tool.yaml:2:13: "),
        ("name: x\nargs: [\"a\\0\"]", "tool.yaml:2:8: an argument cannot contain a null byte"),
        ("name: x\nenv: {\"A=\": b}", "not an environment variable"),
        ("name: x\nenv: {A: \"${SECRET}\"}", "A is taken as it is written"),
        ("name: x\nraw: false", "tool.yaml:2:6: with raw: false and no recipes"),
        (&option("type: strnig"), "tool.yaml:2:30: \"strnig\" is not a type; did you mean string?"),
        (&option("short: s, flag: --s"), "give short or flag, not both"),
        (&option("flag: \"-\""), "\"-\" is not an option"),
        (&option("form: equal"), "\"equal\" is not a form; did you mean equals?"),
        (&option("allow_dash: true"), "allow_dash is for form: separate"),
        (&option("items: string"), "items is for type: array"),
        (&option("join: ','"), "join is for type: array"),
        (&option("stdin: true, short: a"), "what goes to standard input has no option"),
        (&option("stdin: true, type: boolean"), "what goes to standard input cannot be boolean"),
        ("name: x\nexit_codes: {x: {}}", "an exit status is a number"),
        ("name: x\nexit_codes: {1: {means: anser}}", "did you mean answer?"),
        ("name: x\nexit_codes: {1: {mean: answer}}", "did you mean means?"),
        ("name: x\npass_env: [A=]", "not the name of an environment variable"),
        ("name: x\nenv: {A: {secret: b}}", "is not a secret's name"),
        ("name: x\nenv: {A: {secrte: B}}", "secrte"),
        ("name: x\nenv: {A: 1.10}", "needs quotes"),
        (&option("type: array, items: boolean"), "items are strings or numbers"),
        (&option("type: integer, default: x"), "\"x\" does not fit a"),
        (&option("choices: []"), "choices needs one at least"),
        (&option("choices: [1]"), "1 does not fit"),
        (&option("choices: [b], default: c"), "\"c\" does not fit a"),
        (&option("pattern: \"(\""), "is not a regular expression"),
        ("name: x\nschema: {options: {4: {}}}", "\"4\" cannot be a parameter's name in Python"),
        ("name: x\nschema: {options: {a-b: {}, a_b: {}}}", "two parameters are called a_b"),
        (
            "name: x\nschema: {options: {a: {}}, positional: [{name: a}]}",
            "two parameters are called a",
        ),
        (
            "name: x\nschema: {positional: [{name: a, type: boolean}]}",
            "a positional cannot be boolean",
        ),
        ("name: x\nschema: {positional: [{type: string}]}", "key \"name\" is missing"),
    ]);
}

#[test]
fn recipes_that_cannot_work_are_refused() {
    let recipe = |text: &str| {
        format!(
            "name: x\nschema:\n  options: {{quiet: {{type: boolean}}}}\n  \
             positional: [{{name: url, required: true}}]\nrecipes: {{{text}}}"
        )
    };
    refused(&[
        (
            &recipe("a: {params: {urls: {}}}"),
            "params names \"urls\", which is neither an option nor a positional; did you mean url?",
        ),
        (&recipe("a: {preset: {quite: true}}"), "preset names \"quite\""),
        (&recipe("a: {preset: {quiet: yess, url: u}}"), "\"yess\" does not fit quiet"),
        (&recipe("a: {params: {quiet: {}}}"), "recipe \"a\" can never be called: url is required"),
        (&recipe("a: {params: {url: {type: array}}}"), "cannot become array here"),
        (&recipe("a: {params: {url: {type: integer, default: x}}}"), "\"x\" does not fit url"),
        (&recipe("list: {}"), "\"list\" is not a recipe's name"),
        (&recipe("class: {}"), "\"class\" is not a recipe's name"),
        (&recipe("a b: {}"), "\"a b\" is not a recipe's name"),
        (&recipe("a-b: {}, a_b: {}"), "two recipes are called a_b"),
    ]);
    assert!(load(recipe("search: {}")).is_ok());
}

#[test]
fn a_folder_is_read_in_the_order_of_its_names() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("b.yml", "name: first");
    write("a.yaml", "name: second");
    write("README.md", "not a tool");
    write(".hidden.yaml", "not: a tool");
    let names = |folder: &Path| -> Vec<_> {
        load_folder(folder).unwrap().iter().map(|spec| spec.name().to_string()).collect()
    };
    assert_eq!(names(folder.path()), ["second", "first"]);

    // Every mistake is told, each with its file.
    write("c.yaml", "name: first");
    write("d.yaml", "nam: x");
    let message = load_folder(folder.path()).unwrap_err().to_string();
    let lines: Vec<_> = message.lines().collect();
    assert_eq!(lines.len(), 2, "{message}");
    assert!(lines[0].contains("c.yaml: there is a tool first in ") && lines[0].contains("b.yml"));
    assert!(lines[1].contains("d.yaml:1:1: unknown key \"nam\"; did you mean name?"), "{message}");
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let error = load_folder(&folder.path().join("tools")).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(error.to_string().starts_with("there is no folder "), "{error}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(load_folder(&file).unwrap_err().to_string().contains("is not a folder"));
}

#[test]
fn the_shipped_tools_and_the_fixtures_are_in_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for folder in ["tools", "tests/fixtures/tools"] {
        assert!(!load_folder(&root.join(folder)).unwrap().is_empty(), "{folder}");
    }
}

/// The published schema is what the code says; `repertoire tools schema` writes it.
#[cfg(all(feature = "schemars", feature = "http", feature = "mcp"))]
#[test]
fn the_published_schema_is_fresh_and_accepts_what_is_shipped() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let schema: serde_json::Value = schema::tool_file().to().unwrap();
    let fresh = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    let published = std::fs::read_to_string(root.join("docs/tool-file.schema.json"));
    if published.unwrap_or_default() != fresh {
        std::fs::write(root.join("build/tool-file.schema.json"), fresh).unwrap();
        panic!("cp build/tool-file.schema.json docs/, or write it with `repertoire tools schema`");
    }
    let validator = jsonschema::validator_for(&schema).unwrap();
    // Only true and false are booleans to them; `y` and `n` are texts.
    let as_editors_read = |text: &str| -> serde_json::Value {
        let options = serde_saphyr::options! { strict_booleans: true };
        serde_saphyr::from_str_with_options(text, options).unwrap()
    };
    let mut seen = 0;
    for folder in ["tools", "tests/fixtures/tools"] {
        for path in tool_files(&root.join(folder)).unwrap() {
            let text = std::fs::read_to_string(&path).unwrap();
            let file = as_editors_read(&text);
            let errors: Vec<_> =
                validator.iter_errors(&file).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 3);
    for (text, fits) in [
        ("name: x\ntype: mcp\ncommand: y\nenv: {A: {secret: B}}", true),
        ("name: x\ntype: http\nbase_url: y\nendpoints: {a: {path: /}}", true),
        ("name: x\ntype: mcp\nschema: {}", false),
        ("name: x\ntype: http\nendpoint: {}", false),
        ("name: x\ncomand: y", false),
        ("name: x\nrecipes: {a: {parms: {}}}", false),
    ] {
        assert_eq!(validator.is_valid(&as_editors_read(text)), fits, "{text}");
    }
}
