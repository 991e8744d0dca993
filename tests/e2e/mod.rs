mod counting;
mod odd_bytes;
mod stack;
mod updates;
