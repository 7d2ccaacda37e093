/* The table of messages as two arrays. */
#include "protocol/frame.h"

#define RULE(least_body, most_body, handling) \
	{ \
		.least = (least_body) + FRAME_HEAD, .most = (most_body) + FRAME_HEAD, \
		.how = FRAME_##handling \
	}

const struct frame_rule frame_from_client[256] = {
#define CLIENT_MESSAGE(type, name, least, most, handling) [type] = RULE(least, most, handling),
#define SERVER_MESSAGE(type, name, least, most, handling)
#include "protocol/messages.def"
};

const struct frame_rule frame_from_server[256] = {
#define CLIENT_MESSAGE(type, name, least, most, handling)
#define SERVER_MESSAGE(type, name, least, most, handling) [type] = RULE(least, most, handling),
#include "protocol/messages.def"
};
