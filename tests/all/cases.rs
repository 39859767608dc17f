//! Cases as folders, a test for each group: see `tests/src/case.rs`.

use repertoire::ImportAction;
use repertoire_tests::{Group, bench, repository};

async fn all_pass(group: &str) {
    Group::read(group).run(&bench().await).await;
}

#[tokio::test]
async fn asyncio() {
    all_pass("asyncio").await;
}

#[tokio::test]
async fn failures() {
    all_pass("failures").await;
}

#[tokio::test]
async fn results() {
    all_pass("results").await;
}

#[tokio::test]
async fn stdlib() {
    all_pass("stdlib").await;
}

/// Every shipped workflow is a case, but those that need the network from their first line on.
#[tokio::test]
async fn workflows() {
    const ON_THE_NETWORK: [&str; 3] = ["fetch_json", "fetch_page_links", "get_repo_metadata"];
    let bench = bench().await;
    let folder = repository().join("workflows");
    let report = bench.tenant.import(&folder, |_, _, _| ()).await.unwrap();
    let group = Group::read("workflows");
    for file in &report {
        let ImportAction::Created(workflow) = &file.action else { panic!("{file:?}") };
        let name = workflow.name.as_str();
        assert!(
            ON_THE_NETWORK.contains(&name) || group.cases.iter().any(|case| case.name == name),
            "{name} has no case"
        );
        // They are what authors look at first, so they keep the standards.
        assert_eq!(workflow.analysis.warnings, [], "{name}");
        assert!(
            !workflow.description.is_empty() && !workflow.analysis.docstring.is_empty(),
            "{name}"
        );
    }
    group.run(&bench).await;
}

/// The checker is told a wrong expectation in each way that there is, and says so.
#[tokio::test]
async fn a_wrong_expectation_fails() {
    use repertoire_tests::Expected;
    let bench = bench().await;
    let mut session = bench.tenant.session();
    let value = session.run("[1.0, 10**30]").await.unwrap();
    let failure = session.run("raise ValueError('no')").await.unwrap();
    let limit = session.run("import os; os._exit(0)").await.unwrap();
    let check = |expected: &str, run| {
        let expected: Expected = serde_json::from_str(expected).unwrap();
        expected.check(run, std::time::Duration::from_millis(7)).is_ok()
    };
    let right = [
        (r#"{"value": [1.0, 1000000000000000000000000000000]}"#, &value),
        (
            r#"{"failure": {"code": "raised", "type": "ValueError", "message_contains": ["no"]}}"#,
            &failure,
        ),
        (r#"{"failure": {"code": "trapped"}}"#, &limit),
    ];
    for (expected, run) in right {
        assert!(check(expected, run), "{expected}");
    }
    let wrong = [
        ("{}", &value),
        (r#"{"value": [1.0, 1000000000000000000000000000001]}"#, &value),
        (r#"{"value": [1, 1000000000000000000000000000000]}"#, &value),
        (r#"{"value": [1.0, 1000000000000000000000000000000], "stdout_contains": ["x"]}"#, &value),
        (r#"{"value": [1.0, 1000000000000000000000000000000], "at_most_ms": 6}"#, &value),
        (r#"{"value": [1.0, 1000000000000000000000000000000], "at_most_mib": 1}"#, &value),
        (r#"{"failure": {"code": "raised"}}"#, &value),
        (r#"{"value": null}"#, &failure),
        (r#"{"failure": {"code": "raised"}}"#, &failure),
        (r#"{"failure": {"code": "raised", "type": "KeyError"}}"#, &failure),
        (r#"{"failure": {"code": "trapped", "type": "ValueError"}}"#, &failure),
        (
            r#"{"failure": {"code": "raised", "type": "ValueError", "message_contains": ["yes"]}}"#,
            &failure,
        ),
        (
            r#"{"failure": {"code": "raised", "type": "ValueError", "traceback_contains": ["no", "line 1"]}}"#,
            &failure,
        ),
        (
            r#"{"failure": {"code": "raised", "type": "ValueError", "excludes": ["line 1"]}}"#,
            &failure,
        ),
        (r#"{"failure": {"code": "trapped", "type": "SystemExit"}}"#, &limit),
    ];
    for (expected, run) in wrong {
        assert!(!check(expected, run), "{expected} passed");
    }
}
