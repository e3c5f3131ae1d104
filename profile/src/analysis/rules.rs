//! The one table that says what a function is for, by its name and the file that it lies in.
//!
//! Names are those of glibc, musl, OpenSSL, BoringSSL, rustls, zlib, zlib-ng, brotli, zstd, libslz, PCRE, RE2, nginx,
//! HAProxy, Envoy, Node and V8, Go and its library, Rust crates, and Linux.

use super::groups::Group;

/// How much of a stack a rule speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The function, and what it calls that no rule knows.
    Own,
    /// Whatever it calls, also what other rules know: what a log costs is what writing it costs.
    All,
}

/// What one kind of function is for.
pub(super) struct Rule {
    pub(super) group: Group,
    pub(super) reach: Reach,
    /// Files that functions lie in, with blanks between them; any if there is none.
    pub(super) modules: &'static str,
    /// Names of functions, with blanks between them.
    pub(super) functions: &'static str,
}

const ANY: &str = "*";
pub(super) const KERNEL: &str = "[kernel.kallsyms]";
const NO_MODULE: &str = "";

const fn rule(group: Group, functions: &'static str) -> Rule {
    Rule { group, reach: Reach::Own, modules: NO_MODULE, functions }
}

const fn all_below(group: Group, functions: &'static str) -> Rule {
    Rule { group, reach: Reach::All, modules: NO_MODULE, functions }
}

const fn library(group: Group, modules: &'static str) -> Rule {
    Rule { group, reach: Reach::Own, modules, functions: ANY }
}

const fn kernel(group: Group, functions: &'static str) -> Rule {
    Rule { group, reach: Reach::Own, modules: KERNEL, functions }
}

const fn all_below_in_kernel(group: Group, functions: &'static str) -> Rule {
    Rule { group, reach: Reach::All, modules: KERNEL, functions }
}

/// The first rule that knows a function counts. A star stands for anything, and for the blank in a name.
pub(super) const RULES: &[Rule] = &[
    all_below(
        Group::Logging,
        "ngx_http_log_* ngx_stream_log_* ngx_log_* ngx_syslog_* sess_log strm_log http_log \
         sess_build_logline* __send_log* process_send_log Envoy::AccessLog::* \
         Envoy::Extensions::AccessLoggers::* spdlog::* vsyslog __vsyslog* syslog log.(*Logger).* \
         log/slog.* go.uber.org/zap* tracing_subscriber::* env_logger::* node::*Console* \
         pingora_*::*access_log*",
    ),
    // A breakpoint, the instruction that it stands for, done by itself, and the return of the function.
    all_below_in_kernel(
        Group::Probes,
        "asm_exc_int3 asm_exc_debug uprobe_* handle_swbp __x64_sys_uprobe __x64_sys_uretprobe",
    ),
    Rule { group: Group::Regex, reach: Reach::All, modules: "libpcre*", functions: ANY },
    all_below(
        Group::Regex,
        "pcre_* pcre2_* ngx_regex_exec* ngx_http_regex_exec regex_exec* regexec regexp.* re2::* regex::* \
         regex_automata::* v8::internal::RegExp* v8::internal::Runtime_RegExp* std::__detail::_Executor*",
    ),
    library(Group::Compression, "libz.so* libz-ng* libbrotli* libzstd* libslz*"),
    rule(
        Group::Compression,
        "deflate* inflate* longest_match* compress_block* fill_window* _tr_* crc32_z adler32* slide_hash* \
         insert_string* quick_insert_string* Brotli* ZSTD_* HUF_* FSE_* slz_* rfc1951_* rfc1952_* \
         compress/* github.com/klauspost/compress/* github.com/andybalholm/brotli* miniz_oxide::* \
         flate2::* zlib_rs::* libdeflate_* brotli::* ngx_http_gzip_* ngx_http_gunzip_* ngx_http_brotli_* \
         comp_http_payload http_compression_* Envoy::Extensions::Compression::*",
    ),
    library(Group::Tls, "libssl* libcrypto* libgnutls* libnettle* libhogweed* libwolfssl* libmbed*"),
    rule(
        Group::Tls,
        "SSL_* ssl3_* ssl_* tls_* tls1_* tls13_* dtls1_* ossl_* EVP_* bssl::* AES_* aes_* aesni_* \
         aes_hw_* aes_gcm_* gcm_* CRYPTO_gcm128_* CRYPTO_* vpaes_* ChaCha20_* chacha20_* poly1305_* \
         Poly1305_* sha1_block* sha256_block* sha512_block* SHA1_* SHA256_* SHA512_* HMAC_* x25519_* \
         X25519* ED25519_* ec_GFp_* ecp_nistz256* EC_* ECDSA_* ecdsa_* ECDH_* BN_* bn_* RSA_* rsa_* \
         rsaz_* ASN1_* X509_* d2i_* crypto/* vendor/golang.org/x/crypto/* golang.org/x/crypto/* rustls::* \
         ring::* aws_lc_* boring::* boring_sys::* ngx_ssl_* node::crypto::* \
         Envoy::Extensions::TransportSockets::Tls::*",
    ),
    rule(
        Group::GarbageCollection,
        "runtime.gc* runtime.scan* runtime.greyobject runtime.markroot* runtime.bgsweep runtime.sweepone \
         runtime.(*sweepLocked)* runtime.wbBuf* runtime.findObject runtime.bulkBarrier* \
         v8::internal::Scaveng* v8::internal::MarkCompact* v8::internal::*Marking* v8::internal::Sweeper* \
         v8::internal::Heap::* lj_gc_* luaC_*",
    ),
    kernel(
        Group::Copying,
        "copy_user_* _copy_from_iter* _copy_to_iter* copy_page_to_iter* copy_page_from_iter* copyout* \
         copyin* rep_movs_alternative csum_and_copy_* simple_copy_to_iter skb_copy_* memcpy* __memcpy* \
         memmove* _copy_to_user _copy_from_user",
    ),
    kernel(
        Group::Locks,
        "futex_* __futex_* do_futex __x64_sys_futex native_queued_spin_lock_slowpath \
         queued_spin_lock_slowpath __pv_queued_spin_lock_slowpath osq_lock rwsem_* mutex_spin_on_owner \
         __mutex_lock*",
    ),
    kernel(
        Group::Allocation,
        "asm_exc_page_fault exc_page_fault do_user_addr_fault handle_mm_fault __x64_sys_brk \
         __x64_sys_mmap __x64_sys_munmap __x64_sys_madvise",
    ),
    rule(
        Group::Copying,
        "memcpy* __memcpy* memmove* __memmove* mempcpy* __mempcpy* memset* __memset* bcopy \
         runtime.memmove* runtime.memclr* ngx_chain_copy* ngx_copy*",
    ),
    rule(
        Group::Allocation,
        "malloc free cfree calloc realloc memalign posix_memalign aligned_alloc _int_malloc _int_free* \
         _int_realloc malloc_consolidate unlink_chunk* sysmalloc* systrim* tcache_* __libc_malloc* \
         __libc_free* __libc_calloc* __libc_realloc* __libc_memalign* alloc_perturb* arena_get* je_* \
         jemalloc* tc_* tcmalloc::* mi_* _mi_* operator*new* operator*delete* _Zn* __rust_alloc* \
         __rust_dealloc* __rust_realloc* __rdl_* runtime.mallocgc* runtime.newobject runtime.makeslice \
         runtime.growslice runtime.(*mcache)* runtime.(*mcentral)* runtime.(*mheap)* \
         runtime.nextFreeFast* ngx_palloc* ngx_pcalloc* ngx_pnalloc* ngx_create_pool* ngx_destroy_pool* \
         ngx_alloc* ngx_calloc* pool_alloc* pool_free* __pool_alloc* __pool_free* pool_get_from* \
         pool_put_to*",
    ),
    rule(
        Group::Locks,
        "pthread_mutex_* __pthread_mutex_* ___pthread_mutex_* pthread_rwlock_* ___pthread_rwlock_* \
         pthread_spin_* pthread_cond_* ___pthread_cond_* __lll_lock_* lll_lock_* runtime.lock* \
         runtime.unlock* runtime.futex* sync.(*Mutex)* sync.(*RWMutex)* internal/sync.(*Mutex)* \
         parking_lot* absl::*Mutex* std::sys::sync::mutex* ngx_shmtx_* ngx_spinlock* ngx_rwlock_* \
         pl_wait* thread_isolate* __spin_lock* __ha_rwlock*",
    ),
    rule(
        Group::Parsing,
        "ngx_http_parse_* ngx_http_process_request_line ngx_http_process_request_headers \
         ngx_http_process_header_line ngx_http_process_unique_header_line ngx_http_process_host \
         ngx_http_proxy_process_* ngx_http_upstream_process_header* ngx_http_v2_*parse* \
         ngx_http_v2_state_* ngx_http_huff_* ngx_unescape_uri ngx_http_arg* llhttp_* llhttp__* \
         http_parser_* nghttp2_* hpack_* h1_* h2_* htx_* http_wait_for_* http_parse_* \
         Envoy::Http::Http1::* Envoy::Http::Http2::* quiche::Balsa* http2::* net/http.readRequest* \
         net/http.ReadResponse* net/http.(*Request)* net/textproto.* net/url.* net/http.(*http2* \
         golang.org/x/net/http2* golang.org/x/net/http/httpguts* encoding/json.* httparse::* h2::* \
         hpack::* hyper::proto::* http::header::* http::uri::* serde_json::* pingora_*::*parse* \
         v8::internal::JsonParser* node::http_parser* node::url* ada::*",
    ),
];

/// Frames by which a sample in the kernel was asked for by the program.
pub(super) const SYSTEM_CALL: &str =
    "do_syscall_64 entry_SYSCALL_64* x64_sys_call __x64_sys_* el0_svc* __arm64_sys_* syscall_*";
