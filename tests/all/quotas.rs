//! What a tenant may take in all, and what it is told that it has taken.

use std::time::Duration;

use repertoire::id::TenantId;
use repertoire::usage::Span;
use repertoire::{Code, LiveQuota, Quota};
use repertoire_tests::{Bench, TenantOrNew, bench};
use serde_json::json;

fn set(quota: &LiveQuota, change: impl FnOnce(&mut Quota)) {
    let mut new = (*quota.get()).clone();
    change(&mut new);
    quota.set(new);
}

/// A bench whose period does not end during a test.
async fn bench_for_long() -> Bench {
    let bench = bench().await;
    set(&bench.engine.quota(bench.tenant.id()), |quota| {
        quota.period = Duration::from_secs(100 * 366 * 86_400)
    });
    bench
}

#[tokio::test]
async fn so_many_runs_and_so_much_fuel_in_a_period() {
    let bench = bench_for_long().await;
    bench.tenant.add_workflow("one", "def run(): return 1", "").await.unwrap();
    let quota = bench.engine.quota(bench.tenant.id());
    set(&quota, |quota| quota.runs = Some(2));
    for _ in 0..2 {
        bench.tenant.invoke("one", json!({})).await.unwrap();
    }
    let refused = bench.tenant.invoke("one", json!({})).await.unwrap_err();
    assert_eq!(refused.code(), Code::QuotaExceeded);
    assert!(refused.message().contains("quota.runs"), "{refused}");
    assert!(refused.retry_after().is_some_and(|after| after > Duration::from_secs(60)));
    let session = bench.tenant.session().run("1").await.unwrap_err();
    assert_eq!(session.code(), Code::QuotaExceeded);
    // Another tenant has nothing to do with it, and what is raised holds at once.
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    other.session().run("1").await.unwrap();
    set(&quota, |quota| (quota.runs, quota.fuel) = (Some(3), Some(u64::MAX)));
    bench.tenant.invoke("one", json!({})).await.unwrap();
    set(&quota, |quota| (quota.runs, quota.fuel) = (None, Some(1000)));
    let refused = bench.tenant.invoke("one", json!({})).await.unwrap_err();
    assert!(refused.message().contains("quota.fuel"), "{refused}");
}

#[tokio::test]
async fn so_many_calls_of_tools_in_a_period() {
    let bench = bench_for_long().await;
    let source = "def run(n: int):\n for _ in range(n): tools.test.sleep(ms=0)\n return n";
    bench.tenant.add_workflow("calls", source, "").await.unwrap();
    set(&bench.engine.quota(bench.tenant.id()), |quota| quota.tool_calls = Some(3));
    let run = bench.tenant.invoke("calls", json!({"n": 2})).await.unwrap();
    assert_eq!(run.usage.own.tool_calls, 2);
    let run = bench.tenant.invoke("calls", json!({"n": 2})).await.unwrap();
    let failure = run.value().unwrap_err();
    assert_eq!(failure.code, Code::QuotaExceeded, "{failure:?}");
    assert_eq!(run.usage.own.tool_calls, 1, "one that is refused is not made");
}

#[tokio::test]
async fn so_many_at_once_and_so_many_wait() {
    let bench = bench().await;
    bench.tenant.add_workflow("wait", "def run(): return tools.test.hang()", "").await.unwrap();
    set(&bench.engine.quota(bench.tenant.id()), |quota| {
        (quota.concurrent_runs, quota.waiting_runs) = (1, 1)
    });
    let start = || {
        let tenant = bench.tenant.clone();
        tokio::spawn(async move { tenant.invoke("wait", json!({})).await })
    };
    let first = start();
    bench.seen.until_in_flight(1).await;
    let second = start();
    let waiting = async || {
        let usage = bench.tenant.quota_use().await.unwrap();
        usage.all.iter().find(|one| one.name == "waiting_runs").unwrap().used
    };
    while waiting().await == 0 {
        tokio::task::yield_now().await;
    }
    let refused = start().await.unwrap().unwrap_err();
    assert_eq!(refused.code(), Code::Busy);
    assert!(refused.retry_after().is_some());
    // Others are not kept waiting by it.
    let other = bench.engine.tenant_or_new("other").await.unwrap();
    other.session().run("1").await.unwrap();
    first.abort();
    bench.seen.until_started(2).await;
    second.abort();
}

#[tokio::test]
async fn so_many_workflows_and_artifacts() {
    let bench = bench().await;
    let tenant = &bench.tenant;
    set(&bench.engine.quota(tenant.id()), |quota| {
        (quota.workflows, quota.artifacts) = (Some(1), Some(1))
    });
    tenant.add_workflow("one", "def run(): return 1", "").await.unwrap();
    let refused = tenant.add_workflow("two", "def run(): return 2", "").await.unwrap_err();
    assert_eq!(refused.code(), Code::QuotaExceeded);
    let save = "artifacts.save('a', 1)\nartifacts.save('a', 2)\nartifacts.save('b', 3)";
    let run = tenant.session().run(save).await.unwrap();
    let failure = run.value().unwrap_err();
    assert_eq!(failure.code, Code::QuotaExceeded, "{failure:?}");
    assert!(failure.message.contains("quota.artifacts"), "{failure:?}");
    tenant.delete_workflow("one").await.unwrap();
    tenant.add_workflow("two", "def run(): return 2", "").await.unwrap();
}

#[tokio::test]
async fn usage_is_summed_by_workflow() {
    let bench = bench_for_long().await;
    let tenant = &bench.tenant;
    tenant.add_workflow("inner", "def run(): return tools.test.sleep(ms=1)", "").await.unwrap();
    let outer = "def run(): return [workflows.inner(), workflows.inner()]";
    tenant.add_workflow("outer", outer, "").await.unwrap();
    let run = tenant.invoke("outer", json!({})).await.unwrap();
    tenant.session().run("1 / 0").await.unwrap();
    let now = tenant.now().as_millis();
    let span = Span {
        since: run.invocation.started_at,
        until: repertoire::clock::Timestamp::from_millis(now + 1),
    };
    let usage = tenant.usage(span).await.unwrap();
    let of = |name: &str| usage.workflows[&Some(name.to_owned())];
    let (inner, outer, code) = (of("inner"), of("outer"), usage.workflows[&None]);
    assert_eq!((inner.runs, inner.root_runs, inner.tool_calls), (2, 0, 2));
    assert_eq!((outer.runs, outer.root_runs, outer.tool_calls), (1, 1, 0));
    assert_eq!((code.runs, code.failed), (1, 1));
    assert_eq!(inner.fuel + outer.fuel, run.usage.fuel, "what is nested is counted once");
    assert_eq!(usage.total.fuel, run.usage.fuel + code.fuel);
    assert_eq!(usage.total.wall_time, outer.wall_time + code.wall_time);
    // Nothing of another time, and nothing of another tenant.
    let none =
        Span { since: span.until, until: repertoire::clock::Timestamp::from_millis(u64::MAX) };
    assert_eq!(tenant.usage(none).await.unwrap(), repertoire::usage::UsageReport::default());
    let acme = TenantId::new("acme").unwrap();
    let totals = bench.engine.totals();
    let (_, totals) = totals.iter().find(|(tenant, _)| *tenant == acme).unwrap();
    assert_eq!((totals.used.runs, totals.used.fuel), (4, usage.total.fuel));
}
