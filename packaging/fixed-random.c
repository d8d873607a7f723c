/* One chance for each build: what asks the kernel for random bytes gets the same ones (packaging/rustc says who is made to). */
#include <string.h>
#include <sys/random.h>

ssize_t getrandom(void *bytes, size_t length, unsigned flags)
{
	(void)flags;
	memset(bytes, 1, length);
	return (ssize_t)length;
}
