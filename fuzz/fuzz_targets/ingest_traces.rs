//! Any bytes as an export of traces, in protobuf and in JSON.

#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| gatelens_ingest::fuzzing::traces(body));
