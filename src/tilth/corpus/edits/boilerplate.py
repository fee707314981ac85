"""What page furniture looks like: patterns of lines by kind, in English, simplified and traditional Chinese."""

from __future__ import annotations

_MENU = (
    "首页|首頁|登录|登錄|登入|注册|註冊|忘记密码|忘記密碼|帮助中心|購物車|购物车|关于我们|關於我們|联系我们|聯絡我們|聯繫我們|广告服务|廣告服務"
    "|招聘信息|网站地图|網站地圖|法律声明|免责声明|免責聲明|加入收藏|设为首页|設為首頁|收藏本站|上一[页篇]|下一[页篇]|上一頁|下一頁|尾页|末页"
    "|尾頁|末頁|打印本页|列印本頁|关闭窗口|關閉視窗|返回顶部|回到顶部|回頁首|返回列表|回列表|当前位置|當前位置|现在的位置|現在的位置|QQ空间"
)
_SECTION = (
    "回|返回|更多|用户|會員|会员|免费|正文|分享到|分享|微信|微博|豆瓣|新闻|新聞|国内|國內|国际|國際|财经|財經|体育|體育|娱乐|娛樂|科技|社会|社會"
    "|要闻|要聞|教育|评论|評論|视频|視頻|图片|圖片|专题|專題|论坛|論壇|房产|汽车|健康|旅游|军事|历史|文化|游戏|您|你|的|字号|大|中|小|共|页|頁|第|转到"
)
_COUNTED = "阅读|閱讀|浏览|瀏覽|点击|點擊|人气|人氣|访问|訪問|评论|評論|收藏|点赞|點讚|赞|讚|转发|轉發|留言|回复|回覆|下载|下載|播放|分享|关注|粉丝"
_FIGURE = r"\d+(?:[,.]\d+)*(?:\s?[万萬亿kKmM])?\+?"

COUNTER = (
    rf"^\W*{_FIGURE}\s*(?:likes?|comments?|shares?|views?|repl(?:y|ies)|followers?|following|retweets?|votes?|points?"
    r"|upvotes?|downloads?|posts?|photos?|reviews?|ratings?|items?|people|users?|min(?:ute)?s? read"
    r"|(?:second|minute|hour|day|week|month|year)s? ago)(?: (?:in (?:your )?cart|like this|found this helpful))?\W*$"
    r"|^\W*(?:likes?|comments?|shares?|views?|replies|followers?|posted|joined|reviews?)\W*\d[\d,.]*[km]?\W*$"
    rf"|^\W*(?:共|有)?\s*{_FIGURE}\s*[个個人次条條位]*\s*(?:{_COUNTED})(?:过|過|了)?\W*$"
    rf"|^(?:\W*(?:{_COUNTED})(?:次数|次數|人数|人數|量|数|數)?\W*{_FIGURE}(?:\s?[次人条條个個])?)+\W*$"
    r"|^\W*\d+\s*(?:秒|分钟|分鐘|小时|小時|天|周|个月|個月|年)前\W*$"
)
"""A line that counts likes, views, comments; how long ago something was."""

PATTERNS = {
    "javascript": (
        r"(?:enable|activate|turn on|requires?|disabled?|without) javascript"
        r"|javascript (?:is|has been|must be|seems to be) (?:disabled|enabled|required|turned off)"
        r"|browser does not support javascript|请(?:启用|开启|打开) ?javascript"
    ),
    "cookies": (
        r"(?:uses?|accept|by) cookies|use of cookies|cookie (?:policy|settings|notice|preferences|consent)"
        r"|本网站使用 ?cookies?"
    ),
    "placeholder": r"lorem ipsum dolor",
    "policy": (
        r"^\W*(?:(?:privacy policy|terms (?:of (?:use|service)|and conditions|& conditions)|all rights reserved"
        r"|contact us|about us|site ?map|skip to (?:main )?content|back to top)\W*)+$"
        r"|^(?:©|\(c\) |copyright\b).{0,100}all rights reserved\W*$"
        r"|by (?:signing up|subscribing|continuing|using this site),? you agree to"
    ),
    "subscribe": (
        r"(?:subscribe to|sign up for) (?:our|the) (?:\w+ )?newsletter"
        r"|^\W*(?:share|tweet|pin|e-?mail|print) (?:this|on (?:facebook|twitter|linkedin|pinterest|whatsapp))\W*$"
        r"|^\W*(?:click here|read more|continue reading|load more|show more|log in|sign in)\W*$"
    ),
    "版权": (
        r"^\W*(?:版权所有|版權所有|©).{0,60}$|^.{0,40}(?:版[权權]所有|保留所有[权權]利|翻版必究|[转轉][载載]必究)\W*$"
        r"|ICP[备证]\s*\d+号|公网安备\s*\d+"
    ),
    "转载": (
        r"(?:转载|轉載)(?:请|請)(?:注明|註明|联系)"
        r"|未经(?:本?[站网]|作者|书面)?(?:授权|许可|允许).{0,12}转载"
    ),
    "关注": (
        r"(?:扫码|扫描|长按|识别).{0,12}(?:二维码|关注)|(?:扫码|微信)(?:关注|添加)|关注.{0,12}(?:微信|公众号|官方微博)"
        r"|^\W*(?:点赞|分享到|一键三连).{0,20}$"
    ),
    "导航": (
        r"^\W*(?:上一[篇页章]|下一[篇页章]|返回(?:顶部|首页|目录|列表)|责任编辑|编辑|阅读原文|加载更多|查看更多|点击加载"
        r"|相关(?:阅读|文章|链接|推荐)|推荐阅读|热门(?:推荐|文章)|猜你喜欢|展开全文|发表评论)"
        r"\s*(?:[:：].{0,60})?\W*$"
        r"|点击(?:此处|这里)?(?:查看|阅读|进入|下载)(?:更多|全文|原文|详情|大图)|登录后(?:查看|评论|下载|回复)"
        rf"|^(?=.*(?:{_MENU}))(?:[\W\d]|{_MENU}|{_SECTION})+$"
        rf"|^(?:\W*(?:{_COUNTED})(?:次数|次數|人数|人數|量)\W*{_FIGURE}(?:\s?[次人条條])?)+\W*$"
        r"|^(?:\W*(?:阅读|评论|收藏|点赞|转发|浏览)\s?[(（]\d+[)）])+\W*$"
        r"|^\W*发表评论.{0,4}\d+条评论\W*$"
        r"|^\W*(?:来源|來源)\s*[:：].{0,30}(?:作者|编辑|時間|时间|日期)\s*[:：].{0,40}$"
        r"|^\W*(?:打开|下载).{0,6}(?:APP|客户端).{0,14}(?:查看|阅读|体验|精彩)"
        r"|^\W*字[号號]\s*[:：]"
    ),
    "广告": (
        r"(?:加|添加|[咨諮][询詢]|联系|聯繫).{0,4}(?:微信|薇信|LINE|QQ|扣扣|Q群)\s*[:：]?\s*[A-Za-z0-9_-]{4,}"
        r"|代[开開][发發]票|[办辦][证證]刻章|(?:全场|全場|全国|全國)包[邮郵]|假一[赔賠]十|[货貨]到付款|量大从优|厂家直销|廠家直銷"
        r"|限[时時][抢搶][购購]|秒[杀殺][价價]|[专專][业業]代[购購]|[领領]取.{0,10}(?:优惠券|優惠券|大礼包|大禮包)"
        r"|(?:注册|註冊)[就即]?送\d|(?:咨询|諮詢|订购|訂購)(?:热线|熱線|电话|電話)\s*[:：]?\s*[\d-]{7,}"
        r"|兼[职職]日[结結]|[无無]抵押[贷貸]款|高仿.{0,8}一比一"
    ),
}
"""Kind of a line: what is looked for in it, in any case."""

TELLING = "|".join(
    (
        "javascript|cookies?|lorem ipsum|privacy policy|terms (?:of|and|&)|rights reserved|(?:contact|about) us",
        "site ?map|skip to|back to top|you agree to|newsletter|(?:share|tweet|pin|print|mail) (?:this|on)",
        "click here|read more|continue reading|(?:load|show) more|(?:log|sign) in",
        "版权所有|©|保留所有权利|翻版必究|ICP|公网安备|转载|轉載|扫码|扫描|长按|识别|微信|公众号|微博|点赞|分享到|一键三连",
        "上一[篇页章]|下一[篇页章]|返回|责任编辑|编辑|阅读原文|加载|查看更多|点击|登录后|未经",
        _MENU,
        "版權所有|保留所有權利|相关(?:阅读|文章|链接|推荐)|推荐阅读|热门(?:推荐|文章)|猜你喜欢|展开全文|发表评论",
        f"(?:{_COUNTED})(?:次数|次數|人数|人數|量)|(?:阅读|评论|收藏|点赞|转发|浏览) ?[(（][0-9]",
        "(?:来源|來源) *[:：]|(?:打开|下载).{0,6}(?:APP|客户端)|字[号號] *[:：]|薇信|LINE ?[:：]|QQ|扣扣|Q群",
        "代[开開][发發]票|刻章|包[邮郵]|假一[赔賠]|[货貨]到付款|量大从优|厂家直销|廠家直銷|限[时時][抢搶]|秒[杀殺][价價]|代[购購]",
        "[领領]取.{0,10}(?:优惠|優惠|大[礼禮])|[注註][册冊][就即]?送|(?:咨询|諮詢|订购|訂購)(?:[热熱][线線]|[电電][话話])",
        "[职職]日[结結]|抵押[贷貸]款|高仿",
    )
)
"""One of these stands in every line that a pattern takes, for pyarrow's engine (RE2) ..."""

HEADS = [
    head.replace("_", " ")
    for head in (
        "about_us back_to_ click_he contact_ continue cookie icp javascri line_: line: load_mor log_in "
        "lorem_ip mail_on mail_thi newslett pin_on pin_this print_on print_th privacy_ qq read_mor "
        "rights_r share_on share_th show_mor sign_in site_map sitemap skip_to terms_& terms_an terms_of "
        "tweet_on tweet_th you_agre line_： line： q群 © 一键 上一 下一 下載 下载 人气 人氣 代开 代購 代购 代開 來源 保留 假一 免責 免责 公众 "
        "公网 关于 关注 关闭 分享 列印 刻章 加入 加载 包邮 包郵 厂家 发表 咨询 回列 回到 回复 回覆 回頁 字号 字號 尾頁 尾页 展开 帮助 广告 廠家 廣告 当前 微信 微博 忘記 "
        "忘记 打印 打开 扣扣 扫描 扫码 抵押 招聘 推荐 播放 收藏 未经 末頁 末页 来源 查看 法律 注冊 注册 浏览 瀏覽 点击 点赞 热门 版权 版權 猜你 现在 現在 留言 當前 登入 "
        "登录 登錄 相关 秒杀 秒殺 粉丝 網站 编辑 网站 翻版 职日 联系 聯絡 聯繫 職日 薇信 訂購 訪問 設為 註冊 註册 評論 諮詢 讚人 讚次 讚量 订购 设为 访问 评论 识别 貨到 "
        "購物 责任 货到 购物 赞人 赞次 赞量 轉發 轉載 转发 转载 返回 量大 长按 閱讀 關於 關閉 阅读 限时 限時 領取 领取 首頁 首页 高仿 點擊 點讚 "
        "\u017f \u212a"
    ).split()
]
"""... and with one of these, at most eight bytes, it begins, in any case (`_` is a space): for a kernel. The last two are
the long s and the sign of Kelvin, which stand for s and k where case does not count."""
