//! Frames and messages of both sides, in any bytes: nothing panics, and what a view says of its message is so.

#![no_main]

use crossfade::effect;
use crossfade::wire::{self, HEADER};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut rest = bytes;
    // Short inputs are bodies, too.
    bodies(bytes);
    while let Ok(Some(header)) = wire::header(rest) {
        assert!(header.size >= HEADER);
        let Some((message, behind)) = rest.split_at_checked(header.size) else { break };
        bodies(&message[HEADER..]);
        for columns in [0, 1, 4] {
            strip(message, columns);
        }
        rest = behind;
    }
});

fn bodies(body: &[u8]) {
    if let Ok((text, rest)) = wire::cstring(body) {
        assert_eq!(text.len() + 1 + rest.len(), body.len());
    }
    if let Ok(parse) = wire::parse(body) {
        assert_eq!((body[parse.sql_end], &body[parse.sql_end - parse.sql.len()..parse.sql_end]), (0, parse.sql));
        let _ = parse.types();
    }
    if let Ok(bind) = wire::bind(body) {
        assert_eq!(bind.formats_at + 2 + 2 * bind.formats(), body.len());
        assert!(!bind.all_binary() || bind.formats() == 1);
    }
    if let Ok(execute) = wire::execute(body) {
        assert_eq!(body[execute.limit_at..execute.limit_at + 4], execute.limit.to_be_bytes());
    }
    if let Ok(fields) = wire::data_row_fields(body) {
        for text in fields.into_iter().flatten().filter_map(|field| std::str::from_utf8(field).ok()) {
            let _ = effect::fields(text);
        }
    }
    let _ = (wire::close_or_describe(body), wire::ready_status(body), wire::parameter_status(body));
    let _ = wire::error_fields(body).count();
}

/// A message without its last columns is a message, and of a row the first fields are left.
fn strip(message: &[u8], columns: usize) {
    let Ok(strip) = wire::strip_columns(message, columns) else { return };
    let shorter = [&strip.front, &message[strip.front.len()..strip.size]].concat();
    let header = wire::header(&shorter).expect("a length").expect("a whole header");
    assert_eq!((header.tag, header.size), (message[0], shorter.len()));
    if message[0] == b'D'
        && let Ok(mut fields) = wire::data_row_fields(&message[HEADER..])
    {
        fields.truncate(fields.len() - columns);
        assert_eq!(wire::data_row_fields(&shorter[HEADER..]), Ok(fields));
    }
}
