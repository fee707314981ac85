"""Damage planted into clean Chinese documents: nine kinds, all invented here, each a function of the text and a key.

In a damaged document the damage makes up half to four fifths of the characters, in one of keywords up to 95 %: the pages
of which a crawl is full. Navigation and advertising stand as lines between the paragraphs of a whole document.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

NAVIGATION = (
    "首页 > {a} > {b} > 正文", "当前位置：首页 > {a} > {b}", "您现在的位置：首页 » {a}", "上一篇：{title}", "下一篇：{title}",
    "返回首页 | 返回顶部", "首页 {a} {b} {c} 更多", "登录 | 注册 | 帮助中心", "用户登录  免费注册  忘记密码",
    "Copyright © {year} {name}网 版权所有", "京ICP备{code}号-{digit}", "扫描二维码关注{name}公众号",
    "分享到：微信 微博 QQ空间 豆瓣", "阅读({many}) 评论({few}) 收藏({few})", "责任编辑：{name}",
    "来源：{name}网  作者：{name}  发布时间：{year}-0{digit}-1{digit}", "点击查看更多>>", "相关阅读：{title}", "热门推荐",
    "猜你喜欢", "关于我们 | 联系我们 | 广告服务 | 网站地图 | 法律声明", "打开APP，查看更多精彩内容",
    "本文转载自{name}网，未经授权不得转载", "加入收藏  设为首页", "发表评论  共{few}条评论", "字号：大 中 小  打印本页  关闭窗口",
    "浏览次数：{many}次", "展开全文", "共{digit}页 上一页 1 2 3 4 下一页 尾页", "回首頁 | 會員登入 | 購物車", "瀏覽人數：{many}",
    "版權所有 © {name} 轉載必究", "上一頁 | 下一頁 | 回列表",
)  # fmt: skip
ADVERTISING = (
    "【正品{thing}】全场包邮，假一赔十！！！", "加微信：{id} 咨询{thing}批发代理", "{thing}限時搶購中，貨到付款☎400-{code}",
    "專業代購{thing}，正品保證，加LINE：{id}", "咨询热线：400-{code}  QQ：{code}", "{thing}厂家直销 量大从优 全国包邮",
    "代开发票、办证刻章，联系电话{code}", "点击领取{thing}优惠券，满{few}减{digit}", "注册就送{few}元，首充再送彩金",
    "兼職日結{few}元，在家可做，加Q群{code}", "無抵押貸款 當天放款 諮詢電話：{code}", "{thing}秒殺價僅{few}元，庫存不多，先到先得！",
    "免费试玩{thing}，扫码立即领取大礼包", "高仿{thing}一比一，支持货到付款", "學歷文憑快速辦理，加微信{id}",
)  # fmt: skip
KEYWORDS = (
    "手机批发 二手车 减肥药 网络兼职 发票代开 贷款口子 彩票预测 棋牌游戏 电影下载 小说网 女装 男鞋 化妆品 祛斑 隆鼻 整形医院 "
    "留学中介 考研培训 英语四级 驾校 搬家公司 开锁 疏通下水道 装修报价 瓷砖 地板 空调维修 租房 写字楼 新楼盘 旅游线路 机票 酒店预订 "
    "火锅加盟 奶茶店 创业项目 快递查询 天气预报 股票开户 期货 外汇 保险 信用卡 刷单 私服 外挂 破解版 激活码 壁纸 铃声 主题 论坛 "
    "贴吧 直播 美女图片 搞笑视频 星座 算命 起名 风水 丰胸 植发 牙齿矫正 近视手术 月嫂 保姆 催乳 早教 幼儿园 家教 作文 试卷"
).split()
SYMBOLS = "★☆◆◇■□▲△▼▽●○◎→←↑↓♀♂♥♪═║╬▓░▒∞≈≠∴∵※§#*&@^~_"
CHARACTERS = "哈啊嗯哦呵嘿顶赞买好666！？。~，a1-"
NAMES = "晨光 远山 江南 北辰 天下 星海 大河 青木 云端 新知".split()


def navigation(text: str, rng: random.Random) -> tuple[str, list[str]]:
    """Page furniture above, below and between the paragraphs; also gives the lines."""
    return _between(text, NAVIGATION, rng)


def advertising(text: str, rng: random.Random) -> tuple[str, list[str]]:
    """Advertisements in both scripts between the paragraphs; also gives the lines."""
    return _between(text, ADVERTISING, rng)


def character_repetition(text: str, rng: random.Random) -> str:
    """Runs of one character behind sentences."""
    return _mixed(text, rng, lambda: rng.choice(CHARACTERS) * rng.randint(8, 60))


def phrase_repetition(text: str, rng: random.Random) -> str:
    """A phrase or two of the text itself, again and again."""
    clean = re.sub(r"\s+", "", text)
    phrases = []
    for _ in range(rng.randint(1, 2)):
        start = rng.randrange(max(1, len(clean) - 30))
        phrases.append(clean[start : start + rng.randint(6, 24)])
    return _mixed(text, rng, lambda: rng.choice(phrases) * rng.randint(1, 5))


def mojibake(text: str, rng: random.Random) -> str:
    """Half of it or more decoded wrongly: UTF-8 as GBK, as Windows-1252 or Latin-1, or with characters lost."""
    kind, share = rng.choice(("gbk", "cp1252", "latin-1", "lost")), rng.uniform(0.5, 0.8)
    sentences = _sentences(text)
    bad = set(rng.sample(range(len(sentences)), max(1, round(share * len(sentences)))))
    return "".join(_garble(s, kind, rng) if i in bad else s for i, s in enumerate(sentences))


def symbols(text: str, rng: random.Random) -> str:
    """Ornaments and marks."""
    few = rng.sample(SYMBOLS, rng.randint(4, 16))
    return _mixed(text, rng, lambda: "".join(rng.choices(few, k=rng.randint(10, 60))))


def digits(text: str, rng: random.Random) -> str:
    """Tables of figures."""
    separator = rng.choice((" ", "\t", " | ", ",", "  "))

    def row() -> str:
        cells = [f"{rng.randint(0, 99999) / rng.choice((1, 10, 100)):g}" for _ in range(rng.randint(4, 9))]
        return "\n" + separator.join(cells) + "\n"

    return _mixed(text, rng, row, (0.65, 0.9))


def keyword_spam(text: str, rng: random.Random) -> str:
    """A list of search words with a scrap of text."""
    words, separator = rng.sample(KEYWORDS, rng.randint(10, 40)), rng.choice((" ", ",", "、", "|", "_", "，", "\n"))
    return _mixed(
        text[:400], rng, lambda: separator.join(rng.choices(words, k=rng.randint(5, 20))) + "\n", (0.75, 0.95)
    )


def shuffled(text: str, rng: random.Random) -> str:
    """The Han characters of every line in random order among their places."""

    def line(found: str) -> str:
        han = [c for c in found if "\u3400" <= c <= "\u9fff"]
        rng.shuffle(han)
        return re.sub(r"[\u3400-\u9fff]", lambda _: han.pop(), found)

    return "\n".join(map(line, text.split("\n")))


KINDS: dict[str, Callable[[str, random.Random], str | tuple[str, list[str]]]] = {
    f.__name__: f
    for f in (navigation, advertising, character_repetition, phrase_repetition, mojibake, symbols, digits, keyword_spam,
              shuffled)
}  # fmt: skip


def damaged(kind: str, text: str, key: str) -> tuple[str, list[str]]:
    """The damaged text, and the lines that were planted where the damage is lines."""
    found = KINDS[kind](text, random.Random(f"{kind} {key}"))
    return found if isinstance(found, tuple) else (found, [])


def removed(lines: list[str], before: str, after: str) -> bool:
    """Whether nine tenths of the planted lines' characters are gone."""
    left = set(after.split("\n"))
    return bool(lines) and sum(len(line) for line in lines if line in left) <= 0.1 * sum(map(len, lines))


def _sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[。！？!?；\n])", text) if s]


def _mixed(text: str, rng: random.Random, piece: Callable[[], str], share: tuple[float, float] = (0.5, 0.8)) -> str:
    """Pieces among the sentences of the beginning of the text, as a share of the whole."""
    kept = _sentences(text[:2000])
    size = sum(map(len, kept))
    wanted = size / (1 - rng.uniform(*share)) - size
    while wanted > 0:
        new = piece()
        kept.insert(rng.randint(0, len(kept)), new)
        wanted -= len(new)
    return "".join(kept)


def _between(text: str, templates: tuple[str, ...], rng: random.Random) -> tuple[str, list[str]]:
    paragraphs, planted = text.split("\n"), []
    count = max(4, min(len(paragraphs), 12))
    for _ in range(count):
        line = rng.choice(templates).format(
            a=rng.choice(("新闻", "国内", "科技", "財經", "体育")), b=rng.choice(("社会", "要闻", "娱乐", "教育", "評論")),
            c=rng.choice(("视频", "图片", "专题", "论坛")), title=re.sub(r"\W", "", text)[:12], year=rng.randint(2005, 2023),
            name=rng.choice(NAMES), code=rng.randint(10**6, 10**7), digit=rng.randint(1, 9), few=rng.randint(10, 999),
            many=rng.randint(100, 99999), id=f"wx{rng.randint(1000, 99999)}", thing=rng.choice(KEYWORDS),
        )  # fmt: skip
        paragraphs.insert(rng.choice((0, len(paragraphs), rng.randint(0, len(paragraphs)))), line)
        planted.append(line)
    return "\n".join(paragraphs), planted


def _garble(text: str, kind: str, rng: random.Random) -> str:
    if kind == "lost":
        return "".join("\ufffd" if rng.random() < 0.5 else c for c in text)
    if kind == "cp1252":
        return text.encode().decode("cp1252", "replace")
    return text.encode().decode("gbk" if kind == "gbk" else "latin-1", "replace" if rng.random() < 0.5 else "ignore")
