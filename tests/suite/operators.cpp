// Takes 64 MiB through each form of operator new, in pieces of 1 KiB, and gives it back at once.
// usage: operators [PAUSE_MS]
#include <cstdlib>
#include <new>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static constexpr unsigned long total = 64ul << 20, piece = 1024;
static void *volatile kept;

struct alignas(64) Line {
    char bytes[piece];
};

NOINLINE void one()
{
    for (unsigned long done = 0; done < total; done += piece) {
        kept = ::operator new(piece);
        ::operator delete(kept);
    }
}

NOINLINE void many()
{
    for (unsigned long done = 0; done < total; done += piece) {
        char *bytes = new char[piece];
        kept = bytes;
        delete[] bytes;
    }
}

NOINLINE void aligned()
{
    for (unsigned long done = 0; done < total; done += sizeof(Line)) {
        Line *line = new Line;
        kept = line;
        delete line;
    }
}

NOINLINE void without_exception()
{
    for (unsigned long done = 0; done < total; done += piece) {
        kept = ::operator new(piece, std::nothrow);
        if (kept == nullptr)
            std::abort();
        ::operator delete(kept);
    }
}

int main(int argc, char **argv)
{
    usleep(argc > 1 ? 1000u * static_cast<unsigned>(std::atoi(argv[1])) : 0);
    one();
    many();
    aligned();
    without_exception();
}
