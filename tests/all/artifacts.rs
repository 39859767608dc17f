//! Artifacts as workflows meet them: versions, pages, pieces, quota, expiry; and who is hostile.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use repertoire::artifacts::{ArtifactLimits, Content};
use repertoire::clock::{Clock, Timestamp};
use repertoire::{Code, Tenant};
use repertoire_tests::{bench, bench_with};
use serde_json::{Value, json};

async fn value(tenant: &Tenant, code: &str) -> Value {
    let run = tenant.session().run(code).await.unwrap();
    match run.value() {
        Ok(value) => value.to().unwrap(),
        Err(failure) => panic!("{}\n{}", failure.message, failure.traceback),
    }
}

#[tokio::test]
async fn versions_pages_and_filters() {
    let bench = bench().await;
    let code = "
for n in range(3):
    artifacts.save('reports/q1', {'n': n}, f'the {n}th')
for name in ('reports/q2', 'reports/q3', 'other', 'reports'):
    artifacts.save(name, 'a,b', media_type='text/csv')
pages, after = [], ''
while page := artifacts.list('reports', limit=2, after=after):
    pages.append([item.name for item in page])
    after = page[-1].name
[
    [(v.version, v.description) for v in artifacts.versions('reports/q1')],
    [artifacts.load('reports/q1'), artifacts.load('reports/q1', version=1), artifacts.load('reports/q1', version=9)],
    pages,
    [a.name for a in artifacts.list(kind='json')],
    [a.name for a in artifacts.list(media_type='text/csv')],
    [artifacts.delete('reports/q1', version=2), artifacts.delete('reports/q1', version=2)],
    [v.version for v in artifacts.versions('reports/q1')],
    artifacts.save('reports/q1', 'next').version,
    len(artifacts.get('reports/q1').run_id),
]";
    assert_eq!(
        value(&bench.tenant, code).await,
        json!([
            [[3, "the 2th"], [2, "the 1th"], [1, "the 0th"]],
            [{"n": 2}, {"n": 0}, null],
            [["reports", "reports/q1"], ["reports/q2", "reports/q3"]],
            ["reports/q1"],
            ["other", "reports", "reports/q2", "reports/q3"],
            [true, false],
            [3, 1],
            4,
            26,
        ])
    );
}

/// Runs that save one name at the same moment: each save is a version, and whole.
#[tokio::test]
async fn concurrent_saves_all_survive() {
    let bench = bench().await;
    let runs = (0..8).map(|n| {
        let tenant = bench.tenant.clone();
        tokio::spawn(async move {
            let code = format!("artifacts.save('contested', b'{n}' * (1_500_000 + {n})).version");
            value(&tenant, &code).await
        })
    });
    let mut numbers = Vec::new();
    for run in runs.collect::<Vec<_>>() {
        numbers.push(run.await.unwrap().as_u64().unwrap());
    }
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
    let mut seen = Vec::new();
    for number in numbers {
        let version = bench.tenant.artifact("contested", Some(number)).await.unwrap();
        let Content::Binary(bytes) = bench.tenant.artifact_content(&version).await.unwrap() else {
            panic!("bytes are bytes")
        };
        assert!(bytes.iter().all(|byte| *byte == bytes[0]), "two saves are mixed");
        assert_eq!(bytes.len(), 1_500_000 + usize::from(bytes[0] - b'0'));
        seen.push(bytes[0]);
    }
    seen.sort_unstable();
    assert_eq!(seen, b"01234567");
}

#[tokio::test]
async fn the_quota_is_an_error_that_can_be_caught() {
    let limits = ArtifactLimits { quota_bytes: 3 << 20, versions: 4 };
    let bench = bench_with(|builder| builder.artifacts(limits)).await;
    let code = "
from repertoire import QuotaExceededError
def attempt(size):
    try:
        return artifacts.save('x', b'a' * size).version
    except QuotaExceededError as error:
        assert isinstance(error, OSError)
        return error.code
first = [attempt(1 << 20), attempt(1 << 20), attempt(1 << 20), attempt(1), attempt(5 << 20)]
artifacts.delete('x', version=1)
[*first, attempt((1 << 20) - 100), len(artifacts.versions('x')), [artifacts.save('small', str(n)).version for n in range(9)][-1]]";
    let quota = json!("quota-exceeded");
    assert_eq!(value(&bench.tenant, code).await, json!([1, 2, 3, quota, quota, 4, 3, 9]));
    // The oldest of more than four are gone.
    assert_eq!(bench.tenant.artifact_versions("small").await.unwrap().len(), 4);
    // Another tenant's is another's.
    let other = bench.engine.create_tenant("other").await.unwrap();
    let content = Content::Binary(vec![1; 2 << 20].into());
    other.save_artifact("x", &content, "").await.unwrap();
}

/// A clock that a test sets.
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000 + self.0.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn what_expires_is_gone_for_everybody() {
    let clock = Arc::new(Set(AtomicU64::new(0)));
    let own = Arc::clone(&clock);
    let bench = bench_with(|builder| builder.clock(own)).await;
    let save = "
from datetime import timedelta
artifacts.save('a', 1, expires_in=timedelta(minutes=1)).expires_at_ms - artifacts.get('a').created_at_ms";
    assert_eq!(value(&bench.tenant, save).await, json!(60_000));
    let look = "[artifacts.load('a'), artifacts.get('a') is None, len(artifacts.list()), artifacts.delete('a')]";
    clock.0.store(59_999, Ordering::Relaxed);
    assert_eq!(
        value(&bench.tenant, &look.replace(", artifacts.delete('a')", "")).await,
        json!([1, false, 1])
    );
    clock.0.store(60_000, Ordering::Relaxed);
    assert_eq!(value(&bench.tenant, look).await, json!([null, true, 0, false]));
    assert_eq!(bench.tenant.load_artifact("a").await.unwrap_err().code(), Code::NotFound);
}

/// What crosses the boundary in pieces, from a file, an iterator, and back, at any offset.
#[tokio::test]
async fn large_contents_go_in_pieces() {
    let bench = bench().await;
    let code = "
import hashlib, io
data = bytes(range(256)) * (3 << 12) + b'end'
saved = [
    artifacts.save('whole', data), artifacts.save('file', io.BytesIO(data)),
    artifacts.save('parts', (data[at:at + 700_001] for at in range(0, len(data), 700_001))),
]
assert {s.digest for s in saved} == {hashlib.sha256(data).hexdigest()}
assert all(artifacts.load(s.name) == data for s in saved)
with artifacts.open('parts') as file:
    file.seek(-3, 2)
    end = file.read().decode()
    file.seek(1_048_570)
    middle = file.read(12) == data[1_048_570:1_048_582]
    file.seek(10**12)
    beyond = file.read(1)
[saved[0].size, end, middle, len(beyond), artifacts.save('none', iter([])).size]";
    assert_eq!(value(&bench.tenant, code).await, json!([3_145_731, "end", true, 0, 0]));
}

/// Past the facade: ids, offsets, versions and sizes of an attacker's choice.
#[tokio::test]
async fn hostile_calls_are_refused_and_harm_nobody() {
    let bench = bench().await;
    let secret = bench.engine.create_tenant("other").await.unwrap();
    secret.save_artifact("secret", &Content::Text("of another".into()), "").await.unwrap();
    bench.tenant.save_artifact("kept", &Content::Text("kept".into()), "").await.unwrap();
    let code = "
import wit_world.imports.artifacts as host
from componentize_py_types import Err
def attempt(call):
    try:
        answer = call()
    except Err as error:
        return error.value.code.name
    return 'none' if answer is None else type(answer).__name__ if not isinstance(answer, (bytes, list)) else len(answer)
options = host.SaveOptions('', '', None)
most = 2**64 - 1
uploads = [host.append(None, b'x') for _ in range(4)]
filters = lambda *given: host.Filter(*given)
[
    attempt(lambda: host.append(None, b'one too many')),
    attempt(lambda: host.append(most, b'not mine')),
    attempt(lambda: host.append(uploads[0], b'x' * ((1 << 20) + 1))),
    attempt(lambda: host.save('a', host.Content_Uploaded(most), options)),
    attempt(lambda: host.save('a', host.Content_Uploaded(uploads[1]), options)),
    attempt(lambda: host.save('a', host.Content_Uploaded(uploads[1]), options)),
    attempt(lambda: host.save('../../etc/passwd', host.Content_Text('x'), options)),
    attempt(lambda: host.save('', host.Content_Text('x'), options)),
    attempt(lambda: host.save('n' * 10_000, host.Content_Text('x'), options)),
    attempt(lambda: host.save('a@1', host.Content_Text('x'), options)),
    attempt(lambda: host.save('a', host.Content_Json('{'), options)),
    attempt(lambda: host.save('a', host.Content_Text('x'), host.SaveOptions('d' * 5000, '', None))),
    attempt(lambda: host.save('a', host.Content_Text('x'), host.SaveOptions('', 'text/x\\r\\nevil: 1', None))),
    attempt(lambda: host.save('a', host.Content_Text('x'), host.SaveOptions('', '', 0))),
    attempt(lambda: host.save('forever', host.Content_Text('x'), host.SaveOptions('', '', most))),
    attempt(lambda: host.load('kept', most)),
    attempt(lambda: host.load('kept', 0)),
    attempt(lambda: host.read('kept', 1, most)),
    attempt(lambda: host.read('kept', most, 0)),
    attempt(lambda: host.read('secret', 1, 0)),
    attempt(lambda: host.delete('kept', most)),
    attempt(lambda: host.list(filters('', 'table; drop', '', '', 0))),
    attempt(lambda: host.list(filters(\"' or '1'='1\", '', '', '', 2**32 - 1))),
    attempt(lambda: host.list(filters('', '', '', \"x' --\", 0))),
    attempt(lambda: host.list(filters('', '', '', '', 2**32 - 1))),
]";
    let invalid = "INVALID_ARGUMENT";
    assert_eq!(
        value(&bench.tenant, code).await,
        json!([
            invalid,
            "NOT_FOUND",
            invalid,
            "NOT_FOUND",
            "Metadata",
            "NOT_FOUND",
            invalid,
            invalid,
            invalid,
            invalid,
            invalid,
            invalid,
            invalid,
            invalid,
            "Metadata",
            "none",
            "none",
            0,
            "NOT_FOUND",
            "NOT_FOUND",
            "bool",
            invalid,
            0,
            0,
            3
        ])
    );
    assert_eq!(bench.tenant.load_artifact("kept").await.unwrap().1, Content::Text("kept".into()));
    assert_eq!(secret.artifacts().await.unwrap().len(), 1);
    // What says that it stays until the end of time can be shown.
    let forever = bench.tenant.artifact("forever", None).await.unwrap();
    let shown = forever.expires_at.unwrap().to_string();
    assert!(shown.as_str() < "2200" && shown.as_str() > "2100", "{shown}");
    assert!(Timestamp::from_millis(u64::MAX).to_string().starts_with("9999-12-31T23:59:59"));
}
