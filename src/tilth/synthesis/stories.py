"""Short stories in English and Chinese from a grammar: somebody wants something, meets an obstacle, finds a way.

Every part is chosen on its own, so that the number of stories is far beyond any budget; written for Tilth.
"""

from __future__ import annotations

import random

from tilth.synthesis.documents import Writer, fill

EN: dict[str, list[str]] = {
    "name": "Tom Mia Ben Lily Sam Anna Leo Ruth Max Ella Noah Ivy Hugo Clara Finn Nora Otto Rosa".split(),
    "kind": ["boy", "girl", "farmer", "baker", "sailor", "teacher", "gardener", "painter", "shepherd", "miller"],
    "mood": ["quiet", "curious", "kind", "stubborn", "cheerful", "careful", "brave", "patient", "lonely", "busy"],
    "place": [
        "a small village by the river", "a town at the foot of the mountain", "a house near the old forest",
        "an island far from the coast", "a farm behind the hills", "a street full of little shops",
        "a valley where the wind never stopped", "a harbour full of boats", "a school at the edge of the desert",
    ],
    "time": ["One morning", "One cold evening", "On the first day of spring", "Late in the summer", "After a long rain",
             "On a quiet Sunday", "When the snow had melted", "Just before the harvest"],
    "want": ["a red kite", "a warm coat for the winter", "a small wooden boat", "a book with pictures of the stars",
             "a garden full of colours", "a bell that could be heard far away", "a lamp for the dark road",
             "a bridge over the stream", "seeds for the empty field", "a song that everyone could sing"],
    "obstacle": ["there was no money left in the jar", "the road was closed by a fallen tree", "nobody knew how to make one",
                 "the only shop had shut its doors", "the river was too high to cross", "a storm broke the roof in the night",
                 "the key to the workshop was lost", "the tools were old and dull"],
    "helper": ["an old neighbour", "a travelling merchant", "a clever crow", "the youngest sister", "a tired horse",
               "the woman from the mill", "a friend from school", "a silent fisherman", "a lost dog"],
    "advice": ["Start with what you have", "Look again where nobody looks", "Ask before you give up",
               "A slow hand makes few mistakes", "Two people can lift what one cannot", "Wait until the water falls",
               "Mend the old one first"],
    "action": ["worked from sunrise until the stars came out", "carried stones from the river, one by one",
               "asked at every door of the street", "drew a plan on the back of a letter",
               "collected wood, cloth and string", "walked three days along the coast", "tried, failed, and tried again"],
    "result": ["At last it was done", "On the third day it worked", "Before the winter everything was ready",
               "In the end nobody could believe it", "When the sun rose, there it was"],
    "feeling": ["proud and very tired", "so happy that nobody slept that night", "glad to have waited",
                "thankful for every small help", "a little surprised", "calm for the first time in weeks"],
    "moral": ["Since then the people say: many small steps cross a mountain.",
              "And whoever passes by still hears this story.", "From that day on, nobody laughed at slow work.",
              "That is why the door of the house is always open.", "What we share does not become less.",
              "The next year they did it all again, only better."],
}  # fmt: skip

EN_OPENING = [
    "There was once a {mood} {kind} called {name}, who lived in {place}. {time}, {name} wished for {want}.",
    "{time}, {name}, a {mood} {kind}, looked out over {place} and thought of only one thing: {want}.",
    "In {place} lived {name}. Everybody knew {name} as the {mood} {kind} who wanted {want}.",
]
EN_MIDDLE = [
    'But {obstacle}. {name} sat down and did not know what to do. Then {helper} came by. "{advice}," said {helper}.',
    'It was not easy, because {obstacle}. "{advice}," said {helper}, who had listened to it all. {name} nodded.',
    'Yet {obstacle}. For two days {name} told nobody. On the third day {helper} asked, and heard everything. "{advice}."',
]
EN_END = [
    "So {name} {action}. {result}. {name} was {feeling}. {moral}",
    "{name} {action}, and {helper} helped. {result}, and both of them were {feeling}. {moral}",
    "The next day {name} {action}. It took long. {result}. {name} now had {want}, and was {feeling}. {moral}",
]

ZH: dict[str, list[str]] = {
    "name": "小明 小红 阿福 小兰 大山 春燕 阿宝 小雨 石头 秋月 小虎 文文 阿海 青青 小川 玉梅".split(),
    "kind": ["孩子", "农夫", "面包师", "水手", "老师", "园丁", "画家", "牧羊人", "磨坊主", "木匠"],
    "mood": ["安静", "好奇", "善良", "倔强", "快活", "细心", "勇敢", "耐心", "孤单", "忙碌"],
    "place": ["河边的小村子", "山脚下的小镇", "老树林旁边的屋子", "远离海岸的小岛", "山后面的农场", "满是小店的街上",
              "风从不停歇的山谷", "停满船只的港口", "沙漠边上的学校"],
    "time": ["一天早上", "一个寒冷的傍晚", "立春那天", "夏天快结束的时候", "下了很久的雨以后", "一个安静的星期天",
             "雪化了的时候", "就在收割之前"],
    "want": ["一只红色的风筝", "一件过冬的棉衣", "一条小木船", "一本画着星星的书", "一座开满花的园子", "一口传得很远的钟",
             "一盏照亮夜路的灯", "一座跨过小溪的桥", "一袋撒在空地里的种子", "一首人人会唱的歌"],
    "obstacle": ["罐子里一分钱也没有了", "路被倒下的大树挡住了", "谁也不知道该怎么做", "唯一的店铺关了门", "河水太高过不去",
                 "夜里的暴风掀掉了屋顶", "工房的钥匙丢了", "工具又旧又钝"],
    "helper": ["隔壁的老人", "路过的商人", "一只聪明的乌鸦", "最小的妹妹", "一匹疲倦的马", "磨坊的大婶", "学校里的朋友",
               "一个不爱说话的渔夫", "一条走失的狗"],
    "advice": ["先用手里有的东西", "到别人不看的地方再找一找", "放弃之前先问一问", "慢一点，错就少一点",
               "一个人抬不动的，两个人能抬", "等水退了再走", "先把旧的修好"],
    "action": ["从日出一直忙到星星出来", "把河里的石头一块一块搬来", "问遍了街上的每一户人家", "在信纸背面画了一张图",
               "收集了木头、布和绳子", "沿着海岸走了三天", "试了又试，错了再来"],
    "result": ["终于做成了", "到了第三天，成功了", "冬天来以前，一切都准备好了", "最后谁都不敢相信自己的眼睛", "太阳升起的时候，它就在那里"],
    "feeling": ["又骄傲又疲倦", "高兴得一夜没睡", "庆幸自己没有着急", "感谢每一个帮过忙的人", "有一点吃惊", "好几个星期以来第一次安下心来"],
    "moral": ["从那以后人们常说：一小步一小步，也能翻过大山。", "路过的人到今天还能听到这个故事。", "从那天起，再也没有人笑话慢工夫。",
              "所以那座屋子的门总是开着。", "分给别人的，并不会变少。", "第二年他们又做了一次，而且做得更好。"],
}  # fmt: skip
ZH_OPENING = [
    "从前，在{place}住着一个{mood}的{kind}，名叫{name}。{time}，{name}很想要{want}。",
    "{time}，{name}望着{place}，心里只想着一件事：{want}。大家都知道，{name}是个{mood}的{kind}。",
    "{place}有个{kind}叫{name}，为人{mood}，一直想要{want}。",
]
ZH_MIDDLE = [
    "可是{obstacle}。{name}坐了下来，不知道怎么办才好。这时{helper}来了，说：“{advice}。”",
    "这件事不容易，因为{obstacle}。{helper}听完以后说：“{advice}。”{name}点了点头。",
    "然而{obstacle}。{name}两天没有对任何人说，第三天{helper}问起，才把事情讲了出来。“{advice}。”{helper}说。",
]
ZH_END = [
    "于是{name}{action}。{result}。{name}{feeling}。{moral}",
    "{name}{action}，{helper}也来帮忙。{result}，他们都{feeling}。{moral}",
    "第二天，{name}{action}，花了很长时间。{result}。{name}有了{want}，{feeling}。{moral}",
]


def _story(slots: dict[str, list[str]], parts: list[list[str]], paragraph: str) -> Writer:
    def write(rng: random.Random) -> str:
        given = {slot: rng.choice(words) for slot, words in slots.items()}
        return paragraph.join(fill(rng.choice(part), rng, slots, given) for part in parts)

    return write


WRITERS: dict[str, Writer] = {
    "en": _story(EN, [EN_OPENING, EN_MIDDLE, EN_END], "\n\n"),
    "zh": _story(ZH, [ZH_OPENING, ZH_MIDDLE, ZH_END], "\n\n"),
}
