//! What it costs to walk the headers of messages in place.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crossfade::wire::header;

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut message = vec![tag];
    message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// RowDescription, a hundred rows of about 130 bytes, CommandComplete, ReadyForQuery.
fn answer() -> Vec<u8> {
    let mut bytes = message(b'T', &[0; 60]);
    for _ in 0..100 {
        bytes.extend(message(b'D', &[7; 130]));
    }
    bytes.extend(message(b'C', b"SELECT 100\0"));
    bytes.extend(message(b'Z', b"I"));
    bytes
}

/// `Parse Bind Describe Execute Sync`
fn request() -> Vec<u8> {
    let parts = [(b'P', 60), (b'B', 24), (b'D', 2), (b'E', 5), (b'S', 0)];
    parts.into_iter().flat_map(|(tag, size)| message(tag, &vec![0; size])).collect()
}

fn walk(mut bytes: &[u8]) -> usize {
    let mut messages = 0;
    while let Ok(Some(found)) = header(bytes) {
        messages += 1;
        bytes = &bytes[found.size..];
    }
    messages
}

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing");
    for (name, bytes) in [("answer_of_100_rows", answer()), ("extended_request", request())] {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |bench| bench.iter(|| walk(black_box(&bytes))));
    }
    group.finish();
}

criterion_group!(benches, framing);
criterion_main!(benches);
