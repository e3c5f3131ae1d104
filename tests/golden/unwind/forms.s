# Every form of call frame information that the unwind tables know, and some that they do not.
# The linker says that it makes no search table, because of the broken one; the file is made all the same.
# gcc -nostdlib -static -s -Wl,--build-id=none -Wl,-z,noseparate-code -Wl,-z,norelro -o forms.elf forms.s

        .text
        .globl _start
_start: .cfi_startproc
        .cfi_undefined rip
        nop
        hlt
        .cfi_endproc

        .balign 64
push_and_pop:
        .cfi_startproc
        push %rbx
        .cfi_adjust_cfa_offset 8
        .cfi_offset rbx, -16
        push %rbp
        .cfi_adjust_cfa_offset 8
        .cfi_offset rbp, -24
        sub $40, %rsp
        .cfi_adjust_cfa_offset 40
        nop
        .cfi_remember_state
        add $40, %rsp
        .cfi_adjust_cfa_offset -40
        pop %rbp
        .cfi_adjust_cfa_offset -8
        .cfi_restore rbp
        pop %rbx
        .cfi_adjust_cfa_offset -8
        ret
        .cfi_restore_state
        ud2
        .cfi_endproc

# Follows without a gap.
frame_pointer:
        .cfi_startproc
        push %rbp
        .cfi_def_cfa_offset 16
        .cfi_offset rbp, -16
        mov %rsp, %rbp
        .cfi_def_cfa_register rbp
        nop
        leave
        .cfi_def_cfa rsp, 8
        ret
        .cfi_endproc

# No call frame information.
        .fill 32, 1, 0x90

realigned:                              # GCC, for a stack aligned to more than 16 bytes
        .cfi_startproc
        lea 8(%rsp), %r10
        .cfi_def_cfa r10, 0
        push %rbp
        .cfi_escape 0x10, 0x06, 0x02, 0x76, 0x00                  # rbp at rbp+0
        push %r10
        .cfi_escape 0x0f, 0x03, 0x76, 0x78, 0x06                  # CFA = *(rbp-8)
        nop
        lea -8(%r10), %rsp
        .cfi_def_cfa rsp, 8
        .cfi_restore rbp
        ret
        .cfi_endproc

saved_stack_pointer:                    # OpenSSL
        .cfi_startproc
        mov %rsp, %rax
        .cfi_def_cfa_register rax
        .cfi_offset rbp, -24
        nop
        .cfi_escape 0x0f, 0x05, 0x77, 0x28, 0x06, 0x23, 0x08      # CFA = *(rsp+40)+8
        nop
        .cfi_escape 0x0f, 0x05, 0x77, 0x78, 0x06, 0x23, 0x08      # CFA = *(rsp-8)+8
        nop
        .cfi_endproc

indexed:                                # OpenSSL's Montgomery multiplication
        .cfi_startproc
        nop
        .cfi_escape 0x0f, 0x0a, 0x77, 0x08, 0x79, 0x00, 0x38, 0x1e, 0x22, 0x06, 0x23, 0x08
        nop
        .cfi_endproc

        .balign 16
linkage_table:                          # GNU ld
        .cfi_startproc
        nop
        .cfi_escape 0x0f, 0x0b, 0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22
        nop
        .cfi_endproc

        .balign 16
trampoline:                             # glibc's __restore_rt
        .cfi_startproc
        .cfi_signal_frame
        .cfi_escape 0x0f, 0x04, 0x77, 0xa0, 0x01, 0x06            # CFA = *(rsp+160)
        .cfi_escape 0x10, 0x06, 0x03, 0x77, 0xf8, 0x00            # rbp at rsp+120
        .cfi_escape 0x10, 0x07, 0x03, 0x77, 0xa0, 0x01            # rsp at rsp+160
        .cfi_escape 0x10, 0x10, 0x03, 0x77, 0xa8, 0x01            # rip at rsp+168
        mov $15, %eax
        syscall
        .cfi_endproc

interrupted:                            # a signal frame of the common form
        .cfi_startproc
        .cfi_signal_frame
        nop
        .cfi_endproc

vfork:                                  # glibc keeps the return address in a register
        .cfi_startproc
        pop %rdi
        .cfi_adjust_cfa_offset -8
        .cfi_register rip, rdi
        nop
        push %rdi
        .cfi_adjust_cfa_offset 8
        .cfi_offset rip, -8
        ret
        .cfi_endproc

elsewhere:                              # return address at another offset, frame pointer off the stack pointer
        .cfi_startproc
        .cfi_def_cfa rdi, 16
        .cfi_offset rip, 168
        .cfi_escape 0x10, 0x06, 0x02, 0x77, 0x08                  # rbp at rsp+8
        nop
        .cfi_endproc

large_frame:
        .cfi_startproc
        sub $0x123456, %rsp
        .cfi_def_cfa_offset 0x12345e
        nop
        .cfi_endproc

lost_frame_pointer:
        .cfi_startproc
        nop
        .cfi_undefined rbp
        nop
        .cfi_same_value rbp
        nop
        .cfi_escape 0x16, 0x06, 0x02, 0x77, 0x08                  # rbp = rsp+8
        nop
        .cfi_offset rbp, -0x10000
        nop
        .cfi_endproc

unsupported:
        .cfi_startproc
        .cfi_escape 0x0f, 0x03, 0x77, 0x08, 0x1f                  # CFA = -(rsp+8)
        nop
        .cfi_def_cfa 17, 8
        nop
        .cfi_def_cfa rsp, 0x100000000
        nop
        .cfi_def_cfa rsp, 8
        .cfi_same_value rip
        nop
        .cfi_offset rip, -8
        .cfi_offset rsp, 160
        nop
        .cfi_endproc

broken:
        .cfi_startproc
        push %rbx
        .cfi_adjust_cfa_offset 8
        nop
        .cfi_escape 0x3b                                          # no such instruction
        nop
        .cfi_endproc

last:   .cfi_startproc
        ret
        .cfi_endproc
        .section .note.GNU-stack, "", @progbits
